/** What the edge takes at most; beyond each of them stands a documented error. */

export type EdgeLimits = {
  /** One request, as sent. More: InvalidArgument "request is too large". */
  readonly requestBytesMax: number
  /** What is read of a message beyond the request limit, so that the refusal can be said. */
  readonly requestOverheadBytes: number
  /** Requests under way on this member, together. More: ResourceExhausted "too many requests". */
  readonly inFlightBytesMax: number
  /** Streams (watches, renewals, snapshots) open on this member. More: "too many requests". */
  readonly streamsMax: number
  /** Streams of one connection, announced to the client, which then waits. */
  readonly streamsPerConnectionMax: number
  /** Watches on one stream. More: that watch is answered as cancelled, with the reason. */
  readonly watchesPerStreamMax: number
  /** Bytes written to a watch stream and not taken by the network yet; then nothing more is taken. */
  readonly watchUnsentBytesMax: number
  /** Renewals of one stream under way; then no more are read from it. */
  readonly renewalsInFlightMax: number
  /** Portion of a snapshot in one message. */
  readonly snapshotChunkBytes: number
  /** Bytes of a snapshot on their way to a client; then no more is read. */
  readonly snapshotUnsentBytesMax: number
}

export const DEFAULT_LIMITS: EdgeLimits = {
  requestBytesMax: 1_572_864,
  requestOverheadBytes: 524_288,
  inFlightBytesMax: 67_108_864,
  streamsMax: 20_000,
  streamsPerConnectionMax: 10_000,
  watchesPerStreamMax: 10_000,
  watchUnsentBytesMax: 262_144,
  renewalsInFlightMax: 4_096,
  snapshotChunkBytes: 32_768,
  snapshotUnsentBytesMax: 1_048_576,
}

/** The same limits where grpc-js itself has to keep them, and how it watches over connections. */
export function serverOptions(limits: EdgeLimits): Readonly<Record<string, number>> {
  return {
    'grpc.max_receive_message_length': limits.requestBytesMax + limits.requestOverheadBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': limits.streamsPerConnectionMax,
    // Its books of every call are kept for nobody.
    'grpc.enable_channelz': 0,
    'grpc.keepalive_time_ms': 7_200_000,
    'grpc.keepalive_timeout_ms': 20_000,
  }
}
