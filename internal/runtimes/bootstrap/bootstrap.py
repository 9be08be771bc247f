"""Brume's runtime for Python functions: it loads the handler and answers invocations from the Lambda Runtime API.

It runs on CPython 3.6 and later, in the function's sandbox, and answers as Lambda's own runtime does:
https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html

    python bootstrap.py [DIRECTORY...]     the directories follow LAMBDA_TASK_ROOT on sys.path

What the function writes to stdout and stderr is cut into log events at each LF. Inside of a record of the logging
module, and of an error report, line breaks are written as CR, so that a record stays one event.

A cold start waits for this file, so it imports little: logging is set up when the function imports it, tracebacks when
there is one, and the socket is the C module's.
"""
import _socket
import io
import json
import os
import sys
import time

_API = "/2018-06-01/runtime/"
_JSON = "application/json"
_ERROR_JSON = "application/vnd.aws.lambda.error+json"
_NBSP = "\u00a0"  # log viewers collapse plain leading spaces

_request_id = _tenant_id = None  # of the invocation under way, for log records
_json_logs = False


class _Fault(Exception):
    """An error that the runtime found, not the function's code."""

    def __init__(self, error_type, message, trace=()):
        Exception.__init__(self, message)
        self.error_type = "Runtime." + error_type
        self.message = message
        self.trace = list(trace)


# The Runtime API, over one connection.


class _Connection(object):
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        family = _socket.AF_INET
        if host.startswith("["):
            host, family = host[1:-1], _socket.AF_INET6
        self._host = address
        self._socket = _socket.socket(family, _socket.SOCK_STREAM)
        self._socket.connect((host, int(port)))
        self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._received = b""
        self._next = ("GET %sinvocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % (_API, address)).encode()

    def wait(self, loaded):
        """Says that this process is ready for a function and returns the environment of the one that it gets."""
        self._socket.sendall(json.dumps(loaded).encode() + b"\n")
        return json.loads(bytes(self._receive()[2]).decode("utf-8"))

    def next(self):
        """Asks for an invocation. Returns its headers, with names in lower case, and its event."""
        self._socket.sendall(self._next)
        return self._invocation()

    def answer(self, request_id, kind, body, content_type, error_type=""):
        """Sends an answer and asks for the next invocation behind it: one write, and one wake-up for both answers.

        Whether the answer was accepted changes nothing: if it was too large, the caller has been told already.
        """
        head = self._head("invocation/%s/%s" % (request_id, kind), body, content_type, error_type)
        if len(body) < 65536:
            self._socket.sendall(head + body + self._next)
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
            self._socket.sendall(self._next)
        self._receive()
        return self._invocation()

    def init_error(self, body, error_type):
        self._socket.sendall(self._head("init/error", body, _ERROR_JSON, error_type) + body)
        self._receive()

    def _head(self, path, body, content_type, error_type):
        head = "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (
            _API, path, self._host, content_type, len(body))
        if error_type:
            # The name of an exception's class may have any letters; a header may not.
            head += "Lambda-Runtime-Function-Error-Type: %s\r\n" % error_type.encode("ascii", "replace").decode()
        return (head + "\r\n").encode()

    def _invocation(self):
        status, headers, body = self._receive()
        if status != 200:
            raise RuntimeError("the Runtime API answered %d to invocation/next" % status)
        return headers, body

    def _receive(self):
        data = self._received
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            more = self._socket.recv(65536)
            if not more:
                os._exit(1)  # the platform is gone
            data += more
        lines = data[:end].decode("utf-8", "replace").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        start, length = end + 4, int(headers.get("content-length", "0"))
        if len(data) - start >= length:
            self._received = data[start + length:]
            body = data[start:start + length]
        else:
            self._received = b""
            body = bytearray(length)
            filled = len(data) - start
            body[:filled] = data[start:]
            view = memoryview(body)
            while filled < length:
                n = self._socket.recv_into(view[filled:])
                if n == 0:
                    os._exit(1)
                filled += n
        return int(lines[0].split(" ", 2)[1]), headers, body


# The context object: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html


class _Record(object):
    """An object with the fixed fields of __slots__, each None where the given dictionary lacks it."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return "%s([%s])" % (
            type(self).__name__, ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__))


class CognitoIdentity(_Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Record):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Record):
    __slots__ = ("custom", "env", "client")


class LambdaContext(object):
    def __init__(self, headers):
        environ = os.environ.get
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = environ("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = None
        client = _header_object(headers, "lambda-runtime-client-context", "Client Context")
        self._w3c = {}
        if client is not None:
            fields = client.pop("w3c", None)
            if isinstance(fields, dict):
                self._w3c = {k: fields[k] for k in ("traceparent", "tracestate", "baggage") if isinstance(fields.get(k), str)}
            self.client_context = ClientContext(client)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        identity = _header_object(headers, "lambda-runtime-cognito-identity", "Cognito Identity") or {}
        self.identity = CognitoIdentity({
            "cognito_identity_id": identity.get("cognitoIdentityId"),
            "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
        })
        self._deadline = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def w3c(self):
        """Returns the caller's trace context, as far as it came in the client context."""
        return dict(self._w3c)

    def log(self, message):
        _write_event(str(message))

    def __repr__(self):
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in (
            "aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
            "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id"))


def _header_object(headers, name, title):
    text = headers.get(name)
    if not text:
        return None
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        return value
    except ValueError as e:
        raise _Fault("LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (title, e))


# Responses: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html#python-handler-return


class _Encoder(json.JSONEncoder):
    """JSON as Lambda writes it: decimal numbers as they are, bytes as the text that they are in UTF-8, named tuples and
    whatever else has a method _asdict as objects, and NaN and the infinities by their names, which is not JSON.

    From Python 3.12 on text is not escaped.
    """

    def __init__(self):
        json.JSONEncoder.__init__(self, ensure_ascii=sys.version_info < (3, 12))
        self._decimals = []
        self._mark = ""

    def default(self, o):
        if isinstance(o, bytes):
            return o.decode("utf-8")
        if callable(getattr(o, "_asdict", None)):
            return _plain(o)
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(o, decimal.Decimal):
            return json.JSONEncoder.default(self, o)
        if o.is_nan():
            return float("nan")
        # The encoder of the standard library can only be given a string: one that nobody can know.
        self._mark = self._mark or os.urandom(16).hex()
        self._decimals.append(str(o))
        return "%s:%d" % (self._mark, len(self._decimals) - 1)

    def encode_response(self, value):
        try:
            try:
                text = self.encode(value)
            except TypeError:  # which keys that are bytes would be
                text = self._again(value)
            else:
                if isinstance(value, (dict, list, tuple)) and _has_named_tuple(value):
                    text = self._again(value)
            if self._decimals:
                import re

                decimals = self._decimals
                text = re.sub('"%s:([0-9]+)"' % self._mark, lambda m: decimals[int(m.group(1))], text)
            return text.encode("utf-8")
        finally:
            del self._decimals[:]

    def _again(self, value):
        del self._decimals[:]
        return self.encode(_plain(value))


def _has_named_tuple(value):
    """Says whether there is something in value, which has no cycles, that the standard library's encoder takes for a list."""
    todo = [value]
    while todo:
        o = todo.pop()
        kind = type(o)
        if kind is str or kind is int:
            continue
        if isinstance(o, dict):
            todo.extend(o.values())
        elif isinstance(o, (list, tuple)):
            if kind is not list and kind is not tuple and hasattr(o, "_asdict"):
                return True
            todo.extend(o)
    return False


def _plain(o):
    """Returns o with dictionaries in place of what has a method _asdict, and without keys that are bytes."""
    if not isinstance(o, type) and callable(getattr(o, "_asdict", None)):
        o = o._asdict()
    if isinstance(o, dict):
        return {k.decode("utf-8") if isinstance(k, bytes) else k: _plain(v) for k, v in o.items()}
    if isinstance(o, (list, tuple)):
        return [_plain(v) for v in o]
    return o


# Errors: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html


def _describe(request_id=""):
    """Returns the exception being handled as Lambda describes it."""
    kind, value, trace = sys.exc_info()
    if kind is _Fault:
        message, name, stack = value.message, value.error_type, value.trace
    else:
        import traceback

        frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(trace)]
        for i, frame in enumerate(frames):
            if frame[0] != __file__ and frame[0] != _source:
                frames = frames[i:]
                break
        name, stack = kind.__name__, traceback.format_list(frames)
        try:
            message = str(value)
        except Exception:
            message = "<exception str() failed>"
    return {"errorMessage": message, "errorType": name, "requestId": request_id, "stackTrace": stack}


_source = _describe.__code__.co_filename  # which differs from __file__ where this is a compiled file


def _log_error(error):
    if _json_logs:
        record = {"timestamp": _timestamp(time.time()), "level": "ERROR"}
        record.update(error)
        lines = [json.dumps(record, ensure_ascii=False)]
    else:
        title = "[ERROR]"
        if error["errorType"]:
            title += " " + error["errorType"]
        if error["errorMessage"]:
            title += (": " if error["errorType"] else " ") + error["errorMessage"]
        lines = title.split("\n") + ["Traceback (most recent call last):"]
        for entry in error["stackTrace"]:
            for line in entry.splitlines() or [""]:
                text = line.lstrip(" ")
                lines.append(_NBSP * (len(line) - len(text)) + text)
    _write("\r".join(lines) + "\n")


def _write(text):
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except UnicodeEncodeError:  # lone surrogates
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        sys.stdout.flush()


def _write_event(text):
    """Writes what is to be one log event."""
    if text.endswith("\n"):
        text = text[:-1]
    _write(text.replace("\n", "\r") + "\n")


class _Unbuffered(io.TextIOWrapper):
    """Holds nothing back: what was printed is in the log even if the function is killed."""

    def write(self, text):
        n = io.TextIOWrapper.write(self, text)
        self.flush()
        return n


def _timestamp(seconds):
    whole = int(seconds)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)), int((seconds - whole) * 1000))


# Logging: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html


class _Finder(object):
    """Finds what Lambda has loaded before the function where it always is, though the function may have a file of that
    name, and sets the logging module up as soon as it is first imported.
    """

    names = frozenset((
        "collections", "decimal", "linecache", "logging", "numbers", "re", "string", "threading", "token", "tokenize",
        "traceback", "weakref"))
    path = []

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in cls.names:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, cls.path, target) if finder is not cls else None
            if spec is not None:
                if name == "logging":
                    execute = spec.loader.exec_module

                    def exec_module(module):
                        execute(module)
                        _set_up_logging(module)

                    spec.loader.exec_module = exec_module
                return spec
        return None


def _set_up_logging(logging):
    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            # As in Lambda, a record that cannot be formatted is an error of the function.
            _write_event(self.format(record))

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = _request_id or ""
            record.tenant_id = _tenant_id
            return True

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if _json_logs:
        handler.setFormatter(_json_formatter(logging))
    else:
        handler.setFormatter(logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level)
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


def _json_formatter(logging):
    # What a record has of itself is not repeated as an extra field.
    own = set(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) - {"taskName"} | {"aws_request_id", "tenant_id"}

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            record.levelno = min(50, max(0, record.levelno)) // 10 * 10
            record.levelname = logging.getLevelName(record.levelno)
            out = {
                "timestamp": _timestamp(record.created),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[0]:
                import traceback

                kind, value, trace = record.exc_info
                out["stackTrace"] = traceback.format_tb(trace)
                out["errorType"] = kind.__name__
                out["errorMessage"] = str(value)
            out["requestId"] = getattr(record, "aws_request_id", "")
            if record.exc_info:
                out["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
            if getattr(record, "tenant_id", None) is not None:
                out["tenantId"] = record.tenant_id
            for name, value in record.__dict__.items():
                if name not in own and name not in out and value is not None:
                    out[name] = value
            return json.dumps(out, ensure_ascii=False)

    return JsonFormatter()


# The function.


# What the log of Lambda says before an error of the init phase.
_INIT_WARNING = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. However, in rare cases, "
    "a Lambda runtime update can cause unexpected function behavior. For functions using managed runtimes, runtime updates "
    "can be triggered by a function change, or can be applied automatically. To determine if the runtime has been updated, "
    "check the runtime version in the INIT_START log entry. If this error correlates with a change in the runtime version, "
    "you may be able to mitigate this error by temporarily rolling back to the previous runtime version. For more "
    "information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html")


def _load(name):
    """Returns the handler that _HANDLER names: MODULE.FUNCTION, where MODULE may have slashes."""
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as e:
        raise _Fault("MalformedHandlerName", "Bad handler '%s': %s" % (name, e))
    dotted = module_name.replace("/", ".")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise _Fault("BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        __import__(dotted)
        module = sys.modules[dotted]
    except ImportError as e:
        raise _Fault("ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        raise _Fault("UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e),
                     ['  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)])
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise _Fault("HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))


def _invoke(handler, headers, body, encoder):
    """Calls the handler and returns its answer: the kind, the body, the content type, and the error type."""
    try:
        context = LambdaContext(headers)
        try:
            event = json.loads(body.decode("utf-8"))
        except ValueError as e:
            raise _Fault("UnmarshalError", "Unable to unmarshal input: %s" % e)
        result = handler(event, context)
        if isinstance(result, bytes):
            return "response", result, "application/unknown", ""
        try:
            return "response", encoder.encode_response(result), _JSON, ""
        except Exception as e:
            raise _Fault("MarshalError", "Unable to marshal response: %s" % e)
    except Exception:
        error = _describe(_request_id)
        _log_error(error)
        return "error", json.dumps(error).encode(), _ERROR_JSON, error["errorType"]


def _wait(connection, sdk):
    """Waits until it is known whose function this is, and loads the AWS SDK before if sdk says so."""
    before = set(sys.modules)
    if sdk:
        import boto3  # noqa: F401
    loaded = sorted(set(name.split(".")[0] for name in set(sys.modules) - before))
    environ = connection.wait(loaded)
    os.environ.clear()
    os.environ.update(environ)


def _prepare():
    """Gives sys.path, standard output and logging their shape."""
    global _json_logs
    _json_logs = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    task_root = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    _Finder.path = sys.path[1:]
    sys.path[:1] = [task_root] + sys.argv[1:]  # the first entry is this file's directory
    del sys.argv[1:]
    sys.stdout = _Unbuffered(sys.stdout.buffer, encoding="utf-8")
    sys.stderr = _Unbuffered(sys.stderr.buffer, encoding="utf-8", errors="backslashreplace")
    sys.meta_path.insert(0, _Finder)
    if "logging" in sys.modules:  # a .pth file of the interpreter's may have done that
        _set_up_logging(sys.modules["logging"])


def _main():
    global _request_id, _tenant_id
    connection = _Connection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    wait = os.environ.get("_BRUME_WAIT")
    if wait:
        _wait(connection, wait == "sdk")
    _prepare()
    try:
        handler = _load(os.environ.get("_HANDLER", ""))
    except Exception:
        error = _describe()
        import logging

        logging.warning(_INIT_WARNING)
        _log_error(error)
        connection.init_error(json.dumps(error).encode(), error["errorType"])
        sys.exit(1)
    encoder = _Encoder()
    trace_id = os.environ.get("_X_AMZN_TRACE_ID")
    headers, body = connection.next()
    while True:
        _request_id = headers["lambda-runtime-aws-request-id"]
        _tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        new_trace_id = headers.get("lambda-runtime-trace-id")
        if new_trace_id != trace_id:
            trace_id = new_trace_id
            if trace_id is None:
                os.environ.pop("_X_AMZN_TRACE_ID", None)
            else:
                os.environ["_X_AMZN_TRACE_ID"] = trace_id
        answer = _invoke(handler, headers, body, encoder)
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass  # the function has closed or replaced them
        headers, body = connection.answer(_request_id, *answer)


if __name__ == "__main__":
    _main()
