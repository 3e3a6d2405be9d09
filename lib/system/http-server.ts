/**
 * The server of `node:http`, without what an `import` of that module brings with it: a module of Node
 * that is imported is asked for all of its exports, and one of them loads a whole HTTP client and
 * WebSocket (14 MB resident in a bare process). A coordinator needs neither.
 */
const { createServer } = process.getBuiltinModule('node:http')

export { createServer as createHttpServer }
