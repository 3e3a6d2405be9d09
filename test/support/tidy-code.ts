/** House rules about what a TypeScript file may contain: ambient state, sizes, tests, `any`. */
import type { Expression, PrivateIdentifier } from 'oxc-parser'
import { isProduct, isTest } from './tidy-source.ts'
import type { Breach, SourceFile } from './tidy-source.ts'

export const FILE_LINES_MAX = 500
/** Each test file costs a process, so they may be fuller. */
export const TEST_FILE_LINES_MAX = 800
export const FUNCTION_LINES_MAX = 70

/** Product files that may reach for something ambient, each with the reason why. */
export type Edge = { readonly path: string; readonly uses: string; readonly why: string }

/** Member accesses and calls that tie code to the clock, chance, the environment or the terminal. */
const AMBIENT_MEMBERS = new Set([
  'Date.now',
  'performance.now',
  'process.hrtime',
  'Math.random',
  'process.env',
  'process.exit',
  'crypto.randomUUID',
  'crypto.getRandomValues',
])
const AMBIENT_CALLS = new Set(['setTimeout', 'setInterval', 'setImmediate', 'Date'])
const AMBIENT_IMPORTS = new Set(['randomUUID', 'randomBytes', 'randomInt'])

type Found = { readonly what: string; readonly line: number }

/** Ambient state outside lib/system, cli and the named edges; also edges that are not needed any more. */
export function checkAmbient(files: readonly SourceFile[], edges: readonly Edge[]): Breach[] {
  const unused = new Set(edges)
  const breaches = files.filter(isInside).flatMap((file) =>
    findAmbient(file).flatMap(({ what, line }) => {
      const edge = edges.find(({ path, uses }) => path === file.path && uses === what)
      if (edge) unused.delete(edge)
      return edge ? [] : [{ path: file.path, line, message: `uses ${what}` }]
    }),
  )
  const stale = [...unused].map(({ path, uses }) => ({
    path,
    line: 1,
    message: `is excused for ${uses} but does not use it`,
  }))
  return [...breaches, ...stale]
}

function isInside({ path }: SourceFile): boolean {
  return isProduct(path) && !path.startsWith('lib/system/') && !path.startsWith('cli/')
}

function findAmbient(file: SourceFile): Found[] {
  const found: Found[] = []
  const note = (what: string, offset: number): void => {
    found.push({ what, line: file.lineAt(offset) })
  }
  file.walk({
    MemberExpression: (node) => {
      const name = dotted(node)
      if (name && AMBIENT_MEMBERS.has(name)) note(name, node.start)
      if (name?.startsWith('console.')) note('console', node.start)
    },
    CallExpression: ({ callee, start }) => {
      if (callee.type === 'Identifier' && AMBIENT_CALLS.has(callee.name)) note(callee.name, start)
    },
    NewExpression: (node) => {
      const isDate = node.callee.type === 'Identifier' && node.callee.name === 'Date'
      if (isDate && node.arguments.length === 0) note('new Date()', node.start)
    },
    ImportDeclaration: (node) => {
      if (node.importKind === 'type') return
      if (node.source.value.startsWith('node:timers')) note(node.source.value, node.start)
      for (const item of node.specifiers)
        if (item.type === 'ImportSpecifier' && AMBIENT_IMPORTS.has(item.local.name))
          note(item.local.name, node.start)
    },
  })
  return found
}

/** "a.b" for a member of a plain name; a dynamic import or a call in front gives undefined. */
function dotted(node: Expression | PrivateIdentifier): string | undefined {
  if (node.type !== 'MemberExpression' || node.computed) return undefined
  const { object, property } = node
  if (object.type !== 'Identifier' || property.type !== 'Identifier') return undefined
  return `${object.name}.${property.name}`
}

export function checkAny(file: SourceFile): Breach[] {
  const breaches: Breach[] = []
  file.walk({
    TSAnyKeyword: ({ start }) =>
      breaches.push({ path: file.path, line: file.lineAt(start), message: 'uses the type any' }),
  })
  return breaches
}

/**
 * Files and functions fit. A function is measured without the functions inside it, which are measured
 * themselves: a factory is as long as what it does on its own.
 */
export function checkSizes(file: SourceFile): Breach[] {
  const lines = file.text.split('\n').length - 1
  const breaches: Breach[] = []
  if (lines > (isTest(file.path) ? TEST_FILE_LINES_MAX : FILE_LINES_MAX))
    breaches.push({ path: file.path, line: lines, message: `has ${lines} lines` })
  const inner: number[] = []
  const enter = (): void => void inner.push(0)
  const leave = ({ start, end }: { start: number; end: number }): void => {
    const line = file.lineAt(start)
    const length = file.lineAt(end) - line + 1
    const own = length - (inner.pop() ?? 0)
    // The first line of an inner function belongs to the outer one too.
    if (inner.length > 0) inner.push((inner.pop() ?? 0) + length - 1)
    if (own > FUNCTION_LINES_MAX)
      breaches.push({ path: file.path, line, message: `a function of ${own} lines` })
  }
  file.walk({
    FunctionDeclaration: enter,
    'FunctionDeclaration:exit': leave,
    FunctionExpression: enter,
    'FunctionExpression:exit': leave,
    ArrowFunctionExpression: enter,
    'ArrowFunctionExpression:exit': leave,
  })
  return breaches
}

/** Test code that may wait for time to pass, each with the reason why. */
export type Sleeper = { readonly path: string; readonly why: string }

/** Tests that never run, run alone, or wait for time to pass instead of for the event. */
export function checkTests(file: SourceFile, sleepers: readonly Sleeper[] = []): Breach[] {
  if (!isTest(file.path)) return []
  const maySleep = sleepers.some(({ path }) => path === file.path)
  const breaches: Breach[] = []
  const note = (message: string, offset: number): void => {
    breaches.push({ path: file.path, line: file.lineAt(offset), message })
  }
  file.walk({
    MemberExpression: (node) => {
      const modifier = testModifier(node)
      if (modifier && modifier !== 'skip') note(`test.${modifier}`, node.start)
    },
    CallExpression: (node) => {
      // A skip that hangs on a condition is a decision; a bare one is a test switched off.
      const before = file.text.slice(0, node.start)
      const isChosen = /(\belse|\bif \(.*\)|[?:])\s*$/.test(before)
      if (testModifier(node.callee) === 'skip' && !isChosen) note('test.skip', node.start)
    },
    AwaitExpression: ({ argument, start }) => {
      if (argument.type === 'CallExpression' && argument.callee.type === 'Identifier') {
        const { name } = argument.callee
        const isSleep = ['sleep', 'delay', 'setTimeout', 'pause'].includes(name)
        if (isSleep && !maySleep) note(`sleeps: ${name}`, start)
      }
    },
    NewExpression: (node) => {
      const isPromise = node.callee.type === 'Identifier' && node.callee.name === 'Promise'
      if (!isPromise || maySleep) return
      const text = file.text.slice(node.start, node.end)
      if (/^new Promise(<\w+>)?\(\(?(\w+)\)? =>\s*\{?\s*setTimeout\(\2\b/.test(text))
        note('sleeps: a promise around setTimeout', node.start)
    },
  })
  return breaches
}

function testModifier(node: Expression | PrivateIdentifier): string | undefined {
  if (node.type !== 'MemberExpression' || node.property.type !== 'Identifier') return undefined
  const root = node.object.type === 'MemberExpression' ? node.object.object : node.object
  const isOnTest = root.type === 'Identifier' && root.name === 'test'
  const { name } = node.property
  return isOnTest && ['only', 'skip', 'todo', 'failing'].includes(name) ? name : undefined
}

/** A file says first what it is for; a test file says it in its titles. */
export function checkHead(file: SourceFile): Breach[] {
  return file.path.endsWith('.test.ts') || /^(#!.*\n)?\/\*\*/.test(file.text)
    ? []
    : [{ path: file.path, line: 1, message: 'has no comment at its head' }]
}
