/** Codecs of health.proto. Generated: change that file and run `npm run generate`. */
import {
  decode,
  encode,
  putNumber,
  putString,
  putVarint,
  skip,
  takeInt32,
  takeString,
  takeVarint,
} from '../wire.ts'
import type {
  Draft,
  Init,
  Reader,
  Writer,
} from '../wire.ts'

/** Names the service that is asked about; empty for the server as a whole. */
export type HealthCheckRequest = {
  readonly service: string
}

export function writeHealthCheckRequest(w: Writer, m: Init<HealthCheckRequest>): void {
  if (m.service) {
    putString(w, m.service)
    putVarint(w, 10)
  }
}

export function readHealthCheckRequest(r: Reader): HealthCheckRequest {
  const m: Draft<HealthCheckRequest> = { service: '' }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.service = takeString(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeHealthCheckRequest(value: Init<HealthCheckRequest>): Buffer {
  return encode(writeHealthCheckRequest, value)
}

export function decodeHealthCheckRequest(bytes: Uint8Array): HealthCheckRequest {
  return decode(readHealthCheckRequest, bytes)
}

export const HealthCheckResponseServingStatus = {
  unknown: 0,
  serving: 1,
  notServing: 2,
  serviceUnknown: 3,
} as const

/** How that service is doing. */
export type HealthCheckResponse = {
  readonly status: number
}

export function writeHealthCheckResponse(w: Writer, m: Init<HealthCheckResponse>): void {
  if (m.status) {
    putNumber(w, m.status)
    putVarint(w, 8)
  }
}

export function readHealthCheckResponse(r: Reader): HealthCheckResponse {
  const m: Draft<HealthCheckResponse> = { status: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.status = takeInt32(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeHealthCheckResponse(value: Init<HealthCheckResponse>): Buffer {
  return encode(writeHealthCheckResponse, value)
}

export function decodeHealthCheckResponse(bytes: Uint8Array): HealthCheckResponse {
  return decode(readHealthCheckResponse, bytes)
}

/** The methods of Health. */
export const healthService = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeHealthCheckRequest,
    requestDeserialize: decodeHealthCheckRequest,
    responseSerialize: encodeHealthCheckResponse,
    responseDeserialize: decodeHealthCheckResponse,
  },
  watch: {
    path: '/grpc.health.v1.Health/Watch',
    requestStream: false,
    responseStream: true,
    requestSerialize: encodeHealthCheckRequest,
    requestDeserialize: decodeHealthCheckRequest,
    responseSerialize: encodeHealthCheckResponse,
    responseDeserialize: decodeHealthCheckResponse,
  },
} as const
