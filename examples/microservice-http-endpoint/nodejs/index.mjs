// A microservice over HTTP: each method is one DynamoDB operation on the table that the request names.
import { DynamoDB } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocument } from '@aws-sdk/lib-dynamodb';

// The document client takes and returns plain values, {"username": "bob"}, and not {"username": {"S": "bob"}}.
const dynamodb = DynamoDBDocument.from(new DynamoDB());

const operations = {
  DELETE: (parameters) => dynamodb.delete(parameters),
  GET: (parameters) => dynamodb.scan(parameters),
  POST: (parameters) => dynamodb.put(parameters),
  PUT: (parameters) => dynamodb.update(parameters),
};

export const handler = async (event) => {
  const method = event.httpMethod;
  if (!Object.hasOwn(operations, method)) return failure(`Unsupported method "${method}"`);
  try {
    const { $metadata, ...result } = await operations[method](parameters(method, event));
    return {
      statusCode: 200,
      body: JSON.stringify(result, plain),
      headers: { 'Content-Type': 'application/json' },
    };
  } catch (e) {
    // What the caller asked for is wrong, or not allowed: the message says which.
    console.log(`${method} failed: ${e.message}`);
    return failure(e.message);
  }
};

// parameters returns the operation's parameters: of a GET the table's name, otherwise all of the body.
function parameters(method, event) {
  if (method === 'GET') return { TableName: event.queryStringParameters?.TableName };
  return JSON.parse(event.body || '{}');
}

const failure = (message) => ({ statusCode: 400, body: message, headers: { 'Content-Type': 'text/plain' } });

// plain turns what an item may hold and JSON does not know into JSON.
function plain(key, value) {
  if (value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value === 'bigint') return Number(value);
  return value;
}
