/** COPY … FROM STDIN over a pg client, for loading test data fast. */
import type { Readable } from 'node:stream'
import type pg from 'pg'

type Connection = {
  readonly stream: {
    write(data: Uint8Array): boolean
    once(event: 'drain', listener: () => void): void
  }
  query(text: string): void
  sendCopyFail(message: string): void
}

/** Sends the stream as COPY data; resolves when the server has taken it all. */
export async function copyFrom(client: pg.Client, sql: string, source: Readable): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  client.query({
    submit: (connection: Connection) => connection.query(sql),
    handleCopyInResponse: (connection: Connection) => {
      send(connection, source).catch((error: unknown) => connection.sendCopyFail(String(error)))
    },
    handleCommandComplete: () => undefined,
    handleReadyForQuery: () => resolve(),
    handleError: (error: Error) => reject(error),
    handleRowDescription: () => undefined,
    handleDataRow: () => undefined,
    handleEmptyQuery: () => undefined,
    handlePortalSuspended: () => undefined,
    handleCopyData: () => undefined,
  } as never)
  await promise
}

async function send(connection: Connection, source: Readable): Promise<void> {
  for await (const part of source as AsyncIterable<Buffer>) {
    const head = Buffer.alloc(5)
    head.write('d')
    head.writeInt32BE(part.length + 4, 1)
    connection.stream.write(head)
    if (!connection.stream.write(part)) {
      await new Promise<void>((go) => {
        connection.stream.once('drain', go)
      })
    }
  }
  connection.stream.write(Buffer.from([0x63, 0, 0, 0, 4]))
}
