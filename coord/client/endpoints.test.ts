import test from 'ava'
import fc from 'fast-check'
import { CoordError } from './client.ts'
import { markDown, markUp, newStanding, orderOf, parseEndpoint } from './endpoints.ts'
import { errorOf, mayHelpElsewhere } from './outcome.ts'

test('an endpoint is host:port with or without a scheme', (t) => {
  t.deepEqual(parseEndpoint('c1:7701'), { address: 'c1:7701', secure: undefined })
  t.deepEqual(parseEndpoint('http://10.0.0.1:2379'), { address: '10.0.0.1:2379', secure: false })
  t.deepEqual(parseEndpoint('https://c1:7701/'), { address: 'c1:7701', secure: true })
  t.deepEqual(parseEndpoint(' [::1]:7701 '), { address: '[::1]:7701', secure: undefined })
})

test('what is no endpoint is refused by name', (t) => {
  for (const text of ['', 'c1', 'c1:', ':1', 'c1:0', 'c1:65536', 'c1:7x', 'ftp://c1:1', 'a:1:2'])
    t.throws(() => parseEndpoint(text), { instanceOf: CoordError, message: /is not host:port/ })
})

test('the endpoint that answered last is asked first, then the others in turn', (t) => {
  const standing = markUp(newStanding(3, 0), 1)
  t.deepEqual(orderOf(standing, 0), [1, 2, 0])
})

test('chance decides where a client starts', (t) => {
  t.deepEqual(
    [0, 0.4, 0.99].map((chance) => orderOf(newStanding(3, chance), 0)[0]),
    [0, 1, 2],
  )
})

test('an endpoint that failed comes last until its time is over, longer with each failure', (t) => {
  const once = markDown(newStanding(3, 0), 0, 1_000, 1)
  t.deepEqual(orderOf(once, 1_000), [1, 2, 0])
  t.deepEqual(orderOf(once, 1_250), [0, 1, 2])
  const twice = markDown(once, 0, 2_000, 1)
  t.deepEqual(orderOf(twice, 2_499), [1, 2, 0])
  t.deepEqual(orderOf(twice, 2_500), [0, 1, 2])
})

test('of endpoints that all failed, the one whose time is over first is asked first', (t) => {
  let standing = newStanding(3, 0)
  for (const index of [0, 0, 1, 2, 2, 2]) standing = markDown(standing, index, 0, 1)
  t.deepEqual(orderOf(standing, 1), [1, 0, 2])
})

test('whatever happened, every endpoint is in the order once', (t) => {
  const report = fc.record({ index: fc.nat(4), isUp: fc.boolean(), at: fc.nat(60_000) })
  fc.assert(
    fc.property(fc.array(report), fc.nat(60_000), (reports, now) => {
      let standing = newStanding(5, 0)
      for (const { index, isUp, at } of reports)
        standing = isUp ? markUp(standing, index) : markDown(standing, index, at, 0.5)
      t.deepEqual(
        orderOf(standing, now).toSorted((a, b) => a - b),
        [0, 1, 2, 3, 4],
      )
    }),
  )
})

test('a refusal failed for certain; in doubt a write may have landed', (t) => {
  const refusals: readonly [number, string][] = [
    [3, 'etcdserver: key is not provided'],
    [5, 'etcdserver: requested lease not found'],
    [8, 'etcdserver: too many requests'],
    [9, 'etcdserver: lease already exists'],
    [14, 'etcdserver: no leader'],
    [14, 'etcdserver: rpc not supported for learner'],
  ]
  for (const [status, message] of refusals)
    t.is(errorOf(status, message).outcome, 'failed', message)
  const doubts: readonly [number, string][] = [
    [1, 'Call cancelled'],
    [2, 'whatever'],
    [4, 'Deadline exceeded'],
    [8, 'Bandwidth exhausted or memory limit exceeded'],
    [13, 'Received RST_STREAM with code 2'],
    [14, 'Connection dropped'],
    [14, 'etcdserver: leader changed'],
    [14, 'etcdserver: request timed out'],
    [14, 'etcdserver: server stopped'],
  ]
  for (const [status, message] of doubts) t.is(errorOf(status, message).outcome, 'unknown', message)
})

test('another endpoint may help where this one is unreachable, silent or without a leader', (t) => {
  t.true(mayHelpElsewhere(errorOf(14, 'etcdserver: no leader')))
  t.true(mayHelpElsewhere(errorOf(4, 'Deadline exceeded')))
  t.true(mayHelpElsewhere(errorOf(13, 'Received RST_STREAM with code 2')))
  t.false(mayHelpElsewhere(errorOf(13, 'a bug')))
  t.false(mayHelpElsewhere(errorOf(11, 'etcdserver: mvcc: required revision has been compacted')))
})
