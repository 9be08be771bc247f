// Lets import find packages in NODE_PATH: index.cjs says when. It runs in the thread that Node.js has for such hooks.

let parents = []; // URLs of files next to each of the node_modules directories

export function initialize(data) {
  parents = data;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (e) {
    if (e.code !== 'ERR_MODULE_NOT_FOUND' || !/^[^./#:][^:]*$/.test(specifier)) throw e;
    for (const parentURL of parents) {
      try {
        return await next(specifier, { ...context, parentURL });
      } catch {
        // Not there either. The first error says it best.
      }
    }
    throw e;
  }
}
