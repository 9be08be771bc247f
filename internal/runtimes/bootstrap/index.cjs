// Brume's runtime for Node.js functions: it loads the handler and answers invocations from the Lambda Runtime API.
//
// It runs on Node.js 18 and later, in the function's sandbox, and answers as Lambda's own runtime does:
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
//
// What the function writes to stdout and stderr is cut into log events at each LF. Inside of what one call of a console
// method writes, line breaks are written as CR, so that it stays one event.
//
// A cold start waits for this file, so it loads nothing that is not needed to serve.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const util = require('node:util');

const API = '/2018-06-01/runtime/';
const JSON_TYPE = 'application/json';
const ERROR_TYPE = 'application/vnd.aws.lambda.error+json';
const ERROR_TYPE_HEADER = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY_HEADER = 'Lambda-Runtime-Function-Error-Body';
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId'); // where logging libraries look for it
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming'); // what streamifyResponse leaves on a handler
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const env = process.env;

// With Node.js 24 Lambda's runtime was written anew: without callbacks, and with synchronous handlers that return.
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html
const VERSION = Number(process.versions.node.split('.')[0]);
const MODERN = VERSION >= 24;

// Errors that the runtime finds itself.

class RuntimeError extends Error {
  constructor(type, message, stack) {
    super(message);
    Object.defineProperty(this, 'name', { value: 'Runtime.' + type, enumerable: MODERN });
    this.stack = stack ?? this.stack.replace(/^Error/, this.name);
  }
}

class UnhandledPromiseRejection extends RuntimeError {
  constructor(reason, promise) {
    super('UnhandledPromiseRejection', String(reason));
    this.reason = reason;
    this.promise = promise;
  }
}

const isText = (s) => typeof s === 'string' && s !== '';
const isError = MODERN
  ? (e) => e instanceof Error
  : (e) => util.types.isNativeError(e) || (e && isText(e.name) && isText(e.message) && isText(e.stack));

// ownError is an error that the runtime finds after the handler has run. Before Node.js 24 these have no type.
const ownError = (type, message) => (MODERN ? new RuntimeError(type, message) : new Error(message));

// describe returns an error as Lambda describes it: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-exceptions.html
function describe(error) {
  try {
    if (isError(error)) {
      const trace = MODERN && error.stack === undefined ? [] : error.stack.split('\n');
      return { errorType: error.name, errorMessage: error.message, trace };
    }
    return { errorType: typeof error, errorMessage: MODERN ? String(error) : error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
      ...(MODERN && { trace: [] }),
    };
  }
}

// The Runtime API, over one connection. It keeps the event loop alive only while an answer is awaited.

class Connection {
  #host;
  #socket;
  #waiting = []; // one callback for each answer that is to come
  #arriving = null; // the head of the answer that is arriving: { status, headers, length }
  #parts = []; // what has arrived and is not used
  #size = 0;
  #next;

  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.#host = address;
    this.#next = `GET ${API}invocation/next HTTP/1.1\r\nHost: ${address}\r\n\r\n`;
    this.#socket = net.connect({
      host: address.slice(0, colon).replace(/^\[|\]$/g, ''),
      port: Number(address.slice(colon + 1)),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(64 << 10),
        callback: (n, buffer) => {
          this.#receive(buffer.subarray(0, n));
          return true;
        },
      },
    });
    const gone = () => process.exit(1); // so is the platform
    this.#socket.on('error', gone).on('close', gone);
    this.#socket.unref();
  }

  // wait says that this process is ready for a function: done gets the environment of the one that it gets.
  wait(done) {
    this.#await((status, headers, body) => done(JSON.parse(body)));
    this.#socket.write('[]\n');
  }

  // next asks for an invocation: done gets its headers, with names in lower case, and its event.
  next(done) {
    this.#await(done);
    this.#socket.write(this.#next);
  }

  // answer sends an answer and asks for the next invocation behind it: one write, and one wake-up for both answers.
  // Whether the answer was accepted changes nothing: if it was too large, the caller has been told already.
  answer(id, kind, body, headers, done) {
    this.#await(() => {});
    this.#await(done);
    this.#post(`invocation/${encodeURIComponent(id)}/${kind}`, body, headers, this.#next);
  }

  // last sends an answer after which the process ends.
  last(where, body, headers, done) {
    this.#await(done);
    this.#post(where, body, headers, '');
  }

  // begin sends the head of a streaming response, send a piece of it, and end its end: with the trailers for an error, if
  // there was one. Like answer, end asks for the next invocation, and like last, lastEnd does not.
  begin(id, headers) {
    this.#socket.write(this.#head(`invocation/${encodeURIComponent(id)}/response`,
      'Transfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n' +
      `Trailer: ${ERROR_TYPE_HEADER}, ${ERROR_BODY_HEADER}\r\n${headers}`));
  }

  send(data, done) {
    this.#socket.cork();
    this.#socket.write(data.length.toString(16) + '\r\n');
    this.#socket.write(data);
    this.#socket.write('\r\n', done);
    this.#socket.uncork();
  }

  end(trailers, done) {
    this.#await(() => {});
    this.#await(done);
    this.#socket.write(`0\r\n${trailers}\r\n${this.#next}`);
  }

  lastEnd(trailers, done) {
    this.#await(done);
    this.#socket.write(`0\r\n${trailers}\r\n`);
  }

  #head(where, headers) {
    return `POST ${API}${where} HTTP/1.1\r\nHost: ${this.#host}\r\n${headers}\r\n`;
  }

  #post(where, body, headers, behind) {
    const head = this.#head(where, `Content-Length: ${Buffer.byteLength(body)}\r\n${headers}`);
    if (typeof body === 'string') {
      this.#socket.write(head + body + behind);
    } else {
      this.#socket.cork();
      this.#socket.write(head);
      this.#socket.write(body);
      if (behind) this.#socket.write(behind);
      this.#socket.uncork();
    }
  }

  #await(done) {
    if (this.#waiting.push(done) === 1) this.#socket.ref();
  }

  #receive(data) {
    if (this.#size > 0 || this.#arriving) {
      // data is overwritten by the next read.
      this.#parts.push(Buffer.from(data));
      this.#size += data.length;
      if (this.#arriving && this.#size < this.#arriving.length) return;
      data = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts, this.#size);
      this.#parts = [];
      this.#size = 0;
    }
    for (;;) {
      if (!this.#arriving) {
        const end = data.indexOf('\r\n\r\n');
        if (end < 0) break;
        this.#arriving = parseHead(data.toString('utf8', 0, end));
        data = data.subarray(end + 4);
      }
      const { status, headers, length } = this.#arriving;
      if (data.length < length) break;
      const body = data.toString('utf8', 0, length);
      data = data.subarray(length);
      this.#arriving = null;
      const done = this.#waiting.shift();
      if (this.#waiting.length === 0) this.#socket.unref();
      done(status, headers, body);
    }
    if (data.length > 0) {
      this.#parts.push(Buffer.from(data));
      this.#size = data.length;
    }
  }
}

function parseHead(text) {
  const lines = text.split('\r\n');
  const headers = {};
  for (let i = 1; i < lines.length; i++) {
    const colon = lines[i].indexOf(':');
    headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
  }
  return { status: Number(lines[0].split(' ', 2)[1]), headers, length: Number(headers['content-length'] ?? 0) };
}

const contentType = (type) => `Content-Type: ${type}\r\n`;

const errorType = (type) => `${ERROR_TYPE_HEADER}: ${String(type).replace(/[^\x20-\x7e]/g, '?')}\r\n`;
const errorHeaders = (type) => contentType(ERROR_TYPE) + errorType(type);

// errorTrailers end a streaming response that failed.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
const errorTrailers = (description) =>
  errorType(description.errorType) +
  `${ERROR_BODY_HEADER}: ${Buffer.from(JSON.stringify(description)).toString('base64')}\r\n`;

// Logs: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-logging.html

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
let jsonLogs = false;

// writeOut writes to stdout at once, whether or not the function's own use of process.stdout made it non-blocking.
function writeOut(text) {
  let data = Buffer.from(text);
  while (data.length > 0) {
    try {
      data = data.subarray(fs.writeSync(1, data));
    } catch (e) {
      if (e.code !== 'EAGAIN') return; // nobody listens any more
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function logText(level, args) {
  const line = `${new Date().toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${util.format(...args)}`;
  writeOut(line.replaceAll('\n', '\r') + '\n');
}

function logJSON(level, args) {
  const record = { timestamp: new Date().toISOString(), level, requestId: globalThis[REQUEST_ID] };
  let line;
  if (args.length === 1) {
    try {
      line = JSON.stringify({ ...record, message: args[0] }, (_, v) =>
        v instanceof Error ? { ...errorFields(v), ...v } : v);
    } catch {
      line = undefined; // a cycle, a BigInt: as text then
    }
  }
  if (line === undefined) {
    const error = args.length > 1 && args.slice(MODERN ? 1 : 0).find((a) => a instanceof Error);
    line = JSON.stringify({ ...record, message: util.format(...args), ...(error && errorFields(error)) });
  }
  writeOut(line + '\n');
}

const errorFields = (e) => ({
  errorType: e.constructor?.name ?? 'UnknownError',
  errorMessage: e.message,
  stackTrace: typeof e.stack === 'string' ? e.stack.split('\n') : [],
});

function patchConsole() {
  jsonLogs = env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const least = Math.max(0, LEVELS.indexOf(env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
  const log = jsonLogs ? logJSON : logText;
  LEVELS.forEach((level, i) => {
    // Without arguments a call logs "undefined", as it does there.
    console[level.toLowerCase()] = i < least ? () => {} : (message, ...more) => log(level, [message, ...more]);
  });
  console.log = console.info;
}

function logError(title, error) {
  const asError = () => (error instanceof Error ? error : new Error(MODERN ? String(error) : error));
  if (jsonLogs) {
    console.error(asError());
    return;
  }
  const full = (_, v) =>
    v instanceof Error
      ? {
          errorType: v.name,
          errorMessage: v.message,
          code: v.code,
          ...v,
          ...(typeof v.stack === 'string' && { stack: v.stack.split('\n') }),
        }
      : v;
  let text;
  try {
    text = JSON.stringify(asError(), full);
  } catch {
    text = JSON.stringify(describe(error));
  }
  console.error(title, '\t' + text);
}

// What runs when the event loop is empty.

let whenIdle = () => {};
const clearIdle = () => { whenIdle = () => {}; };

// Response streams: https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html

let ResponseStream;

function newResponseStream(handler, connection, id) {
  ResponseStream ??= class ResponseStream extends require('node:stream').Writable {
    #connection;
    #id;
    #contentType = 'application/octet-stream';
    prelude = null;
    begun = false; // the head is on its way

    constructor(connection, id, options) {
      super(options);
      this.#connection = connection;
      this.#id = id;
    }
    setContentType(type) {
      if (this.begun) throw new Error('Cannot set content-type, too late.');
      this.#contentType = type;
    }
    begin() {
      if (this.begun) return;
      this.begun = true;
      this.#connection.begin(this.#id, contentType(String(this.#contentType).replace(/[^\x20-\x7e]/g, '?')));
      if (this.prelude !== null) {
        // The prelude and eight zero bytes.
        this.#connection.send(Buffer.concat([Buffer.from(this.prelude), Buffer.alloc(8)]));
      }
    }
    _write(chunk, encoding, done) {
      this.begin();
      if (chunk.length === 0) done(); // an empty chunk would be the last
      else this.#connection.send(chunk, done);
    }
    _final(done) {
      this.begin();
      done();
    }
  };
  const highWaterMark = handler[HIGH_WATER_MARK];
  return new ResponseStream(connection, id, highWaterMark === undefined ? {} : { highWaterMark });
}

// streamError is what the runtime finds wrong with a streaming handler: before Node.js 24 not an error but its text.
const streamError = (message) => (MODERN ? new Error(message) : message);

function provideGlobal() {
  if (['1', 'true'].includes(env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream: {
      from(stream, metadata) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        stream.prelude = JSON.stringify(metadata);
        return stream;
      },
    },
  };
}

// The function.

// nodePathOutside returns the node_modules directories in NODE_PATH that hold something and that the usual search from root
// upwards does not find anyway.
function nodePathOutside(root) {
  const found = new Set();
  const identity = (dir) => {
    const s = fs.statSync(dir, { throwIfNoEntry: false });
    return s?.isDirectory() ? `${s.dev}:${s.ino}` : undefined;
  };
  for (let dir = root; ; dir = path.dirname(dir)) {
    found.add(identity(path.join(dir, 'node_modules')));
    if (dir === path.dirname(dir)) break;
  }
  return (env.NODE_PATH ?? '').split(':').filter((dir) => {
    if (!dir.startsWith('/') || path.basename(dir) !== 'node_modules') return false;
    const id = identity(dir);
    return id !== undefined && !found.has(id) && fs.readdirSync(dir).length > 0;
  });
}

// useNodePath lets import find packages in NODE_PATH, as Lambda does since Node.js 18. Node.js itself only does that for
// require. It is for functions with layers: hooks.mjs, which older versions of Node.js need, runs in a thread of its own,
// and that takes longer to start than all of the rest.
function useNodePath(root) {
  const dirs = nodePathOutside(root);
  if (dirs.length === 0) return;
  const { pathToFileURL } = require('node:url');
  const module = require('node:module');
  const parents = dirs.map((dir) => pathToFileURL(path.join(path.dirname(dir), 'x')).href);
  if (!module.registerHooks) {
    module.register(pathToFileURL(path.join(__dirname, 'hooks.mjs')), { data: parents });
    return;
  }
  module.registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (e) {
        if (e.code !== 'ERR_MODULE_NOT_FOUND' || !/^[^./#:][^:]*$/.test(specifier)) throw e;
        for (const parentURL of parents) {
          try {
            return next(specifier, { ...context, parentURL });
          } catch {
            // Not there either. The first error says it best.
          }
        }
        throw e;
      }
    },
  });
}

// inModulePackage says whether the nearest package.json above file makes .js files ES modules.
function inModulePackage(file) {
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    if (path.basename(dir) === 'node_modules') return false;
    const manifest = path.join(dir, 'package.json');
    if (fs.existsSync(manifest)) {
      try {
        return JSON.parse(fs.readFileSync(manifest, 'utf8'))?.type === 'module';
      } catch (e) {
        console.warn(`${manifest} cannot be read, it will be ignored for ES module detection purposes.`, e);
        return false;
      }
    }
    if (dir === path.dirname(dir)) return false;
  }
}

async function loadModule(root, directory, name) {
  const file = path.resolve(root, directory, name);
  const esm = inModulePackage(file);
  const kinds = [['', false], ['.js', esm], ['.mjs', true], ['.cjs', false]];
  if (MODERN) kinds.push(['.ts', esm], ['.mts', true], ['.cts', false]);
  for (const [extension, isESM] of kinds) {
    const candidate = file + extension;
    if (!fs.statSync(candidate, { throwIfNoEntry: false })?.isFile()) continue;
    if (!isESM) return require(candidate);
    useNodePath(root);
    return await import(require('node:url').pathToFileURL(candidate).href);
  }
  return require(require.resolve(name, { paths: [root, path.resolve(root, directory)] }));
}

// load returns the handler that _HANDLER names: FILE.EXPORT, where FILE may have directories and EXPORT may be nested.
async function load(root, name) {
  if (name.includes('..')) {
    throw new RuntimeError('MalformedHandlerName',
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(name);
  const directory = name.slice(0, name.indexOf(base));
  const dot = base.indexOf('.');
  if (dot < 0) throw new RuntimeError('MalformedHandlerName', 'Bad handler');
  let found;
  try {
    found = await loadModule(root, directory, base.slice(0, dot));
  } catch (e) {
    if (e instanceof SyntaxError) throw new RuntimeError('UserCodeSyntaxError', String(e), e.stack);
    if (e?.code === 'MODULE_NOT_FOUND') throw new RuntimeError('ImportModuleError', String(e));
    throw e;
  }
  for (const key of base.slice(dot + 1).split('.')) found = found?.[key];
  if (!found) throw new RuntimeError('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof found !== 'function') throw new RuntimeError('HandlerNotFound', `${name} is not a function`);
  if (found[STREAMING] && found[STREAMING] !== 'response') {
    throw new RuntimeError('MalformedStreamingHandler', 'Only response streaming is supported.');
  }
  if (found.length >= 3 && !found[STREAMING]) refuseCallbacks(found);
  return found;
}

const CALLBACKS_REMOVED = 'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';
const CALLBACKS_WARNING = 'AWS Lambda plans to remove support for callback-based function handlers starting with Node.js 24. You will need to update this function to use an async handler to use Node.js 24 or later. For more information and to provide feedback on this change, see https://github.com/aws/aws-lambda-nodejs-runtime-interface-client/issues/137. To disable this warning, set the AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING environment variable.';

// refuseCallbacks is for handlers that take a callback, as their number of parameters says: Node.js 22 warns of them.
function refuseCallbacks(handler) {
  if (MODERN) throw new RuntimeError('CallbackHandlerDeprecated', CALLBACKS_REMOVED);
  if (VERSION >= 22 && handler.length === 3 && !isAsync(handler) && env.AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING === undefined) {
    console.warn(CALLBACKS_WARNING);
  }
}

const isAsync = (handler) => handler.constructor?.name === 'AsyncFunction';

function parseHeader(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new Error(`Cannot parse ${name} as json: ${e}`);
  }
}

// takeW3C takes the caller's trace context out of a client context, and returns the function that context.w3c is.
function takeW3C(clientContext) {
  const fields = {};
  if (typeof clientContext?.w3c === 'object') {
    for (const name of ['traceparent', 'tracestate', 'baggage']) {
      if (typeof clientContext.w3c?.[name] === 'string') fields[name] = clientContext.w3c[name];
    }
  }
  if (clientContext && typeof clientContext === 'object') delete clientContext.w3c;
  return () => Object.freeze(fields);
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html
function addContext(context, headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const clientContext = parseHeader(headers['lambda-runtime-client-context'], 'ClientContext');
  return Object.assign(context, {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    ...(MODERN && { w3c: takeW3C(clientContext) }),
    clientContext,
    identity: parseHeader(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

const neverSettled = () =>
  new RuntimeError('NodeJsExit', 'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes');

class Runtime {
  #connection;
  #handler;
  #streaming;
  #async;
  #phase = 'init'; // then 'serving', until a crash: 'over'
  #current = null; // the id of the invocation under way
  #response = null; // the stream of its response, if it has one

  constructor(connection) {
    this.#connection = connection;
  }

  serve(handler) {
    this.#handler = handler;
    this.#streaming = handler[STREAMING] === 'response';
    this.#async = isAsync(handler);
    // What the module has left to fail in this turn is still part of the init phase.
    setImmediate(() => {
      if (this.#phase !== 'init') return;
      this.#phase = 'serving';
      this.#connection.next(this.#begin);
    });
  }

  // crash reports an error that no handler caught and ends the process.
  crash(title, error, code) {
    logError(title, error);
    if (this.#phase === 'over') return; // the first one is being reported
    const description = describe(error);
    const exit = () => process.exit(code);
    if (this.#phase === 'init') {
      this.#connection.last('init/error', JSON.stringify(description), errorHeaders(description.errorType), exit);
    } else if (this.#response?.begun) {
      this.#connection.lastEnd(errorTrailers(description), exit);
    } else if (this.#current) {
      const where = `invocation/${encodeURIComponent(this.#current)}/error`;
      this.#connection.last(where, JSON.stringify(description), errorHeaders(description.errorType), exit);
    } else {
      exit(); // between invocations there is nobody to tell
    }
    this.#phase = 'over';
    this.#current = null;
  }

  #begin = (status, headers, body) => {
    if (status !== 200) {
      console.error(`The Runtime API answered ${status} to invocation/next: ${body}`);
      process.exit(1);
    }
    // A new turn, so that nothing of the answer before this one is on the stack.
    setImmediate(() => {
      this.#current = globalThis[REQUEST_ID] = headers['lambda-runtime-aws-request-id'];
      const traceID = headers['lambda-runtime-trace-id'];
      if (traceID === undefined) delete env._X_AMZN_TRACE_ID;
      else if (env._X_AMZN_TRACE_ID !== traceID) env._X_AMZN_TRACE_ID = traceID;
      if (this.#streaming) this.#stream(headers, body);
      else if (MODERN) this.#await(headers, body);
      else this.#callBack(headers, body);
    });
  };

  #end(id, kind, body, headers) {
    if (this.#current !== id) return; // crashed meanwhile
    this.#current = null;
    clearIdle();
    this.#connection.answer(id, kind, body, headers, this.#begin);
  }

  #succeed(id, result) {
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result) ?? 'null'; // a function, a symbol
    } catch {
      this.#fail(id, ownError('JSONStringifyError', 'Unable to stringify response body'));
      return;
    }
    this.#end(id, 'response', body, contentType(JSON_TYPE));
  }

  #fail(id, error) {
    logError('Invoke Error', error);
    const description = describe(error);
    this.#end(id, 'error', JSON.stringify(description), errorHeaders(description.errorType));
  }

  async #await(headers, body) {
    const id = this.#current;
    whenIdle = () => this.#fail(id, neverSettled());
    try {
      const result = await this.#handler(JSON.parse(body), addContext({}, headers));
      if (this.#current === id) this.#succeed(id, result);
    } catch (e) {
      if (this.#current === id) this.#fail(id, e);
    }
  }

  #callBack(headers, body) {
    const id = this.#current;
    let settled = false;
    let waits = true;
    const once = (f) => (...args) => {
      if (settled) return;
      settled = true;
      clearIdle();
      f(...args);
    };
    const done = (error, result) => {
      if (error !== undefined && error !== null) this.#fail(id, error);
      else this.#succeed(id, result);
    };
    const callback = once((error, result) => {
      if ((error !== undefined && error !== null) || !waits) done(error, result);
      else whenIdle = () => this.#succeed(id, result);
    });
    const context = {
      get callbackWaitsForEmptyEventLoop() { return waits; },
      set callbackWaitsForEmptyEventLoop(value) { waits = value; },
      done: once(done),
      succeed: once((result) => done(null, result)),
      fail: once((error) => done(error ?? 'handled')),
    };
    // A handler that neither calls back nor keeps a promise ends when there is nothing left to do.
    whenIdle = once(() => {
      if (this.#async) this.#fail(id, neverSettled());
      else this.#succeed(id, null);
    });
    try {
      addContext(context, headers);
      const result = this.#handler(JSON.parse(body), context, callback);
      if (typeof result?.then === 'function') result.then(context.succeed, context.fail);
    } catch (e) {
      callback(e ?? 'handled');
    }
  }

  async #stream(headers, body) {
    const id = this.#current;
    try {
      const context = addContext(MODERN ? {} : { callbackWaitsForEmptyEventLoop: true }, headers);
      const stream = this.#response = newResponseStream(this.#handler, this.#connection, id);
      const finished = new Promise((resolve, reject) => {
        stream.once('finish', resolve);
        stream.once('error', reject);
      });
      const ended = new Promise((_, reject) => {
        whenIdle = () => reject(streamError('Response stream is not finished.'));
      });
      finished.catch(() => {});
      ended.catch(() => {});
      const result = this.#handler(JSON.parse(body), stream, context);
      if (typeof result?.then !== 'function') throw streamError('Streaming does not support non-async handlers.');
      if ((await Promise.race([result, ended])) !== undefined) console.warn('Streaming handlers ignore return values.');
      await Promise.race([finished, ended]);
      this.#endStream(id, '');
    } catch (e) {
      const error = e ?? 'handled';
      const begun = this.#response?.begun;
      this.#response?.destroy(); // what is written later belongs to no invocation
      if (!begun) {
        this.#response = null;
        this.#fail(id, error);
        return;
      }
      logError('Invoke Error', error);
      this.#endStream(id, errorTrailers(describe(error)));
    }
  }

  #endStream(id, trailers) {
    if (this.#current !== id) return; // crashed meanwhile
    this.#current = this.#response = null;
    clearIdle();
    this.#connection.end(trailers, this.#begin);
  }
}

async function main() {
  const connection = new Connection(env.AWS_LAMBDA_RUNTIME_API);
  if (env._BRUME_WAIT) {
    await import('./hooks.mjs'); // whatever it is: the first ES module takes longer to load than all of the rest
    const environment = await new Promise((done) => connection.wait(done));
    for (const name of Object.keys(env)) if (!(name in environment)) delete env[name];
    // What is the same already is not set again: to set TZ, for one, takes 30 ms.
    for (const name in environment) if (env[name] !== environment[name]) env[name] = environment[name];
  }
  patchConsole();
  provideGlobal();
  const runtime = new Runtime(connection);
  if (!MODERN) { // which leaves the end of the process to Node.js
    process.on('uncaughtException', (e) => runtime.crash('Uncaught Exception', e, 129));
    process.on('unhandledRejection', (reason, promise) =>
      runtime.crash('Unhandled Promise Rejection', new UnhandledPromiseRejection(reason, promise), 128));
  }
  process.on('beforeExit', () => {
    const run = whenIdle;
    clearIdle();
    run();
  });
  let handler;
  try {
    handler = await load(env.LAMBDA_TASK_ROOT ?? '/var/task', env._HANDLER ?? '');
  } catch (e) {
    if (MODERN) runtime.crash('Init Error', e, 1);
    else runtime.crash('Uncaught Exception', e, 129);
    return;
  }
  runtime.serve(handler);
}

main();
