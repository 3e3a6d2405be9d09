/**
 * Where an artifact begins. The version is answered at once; the rest lies beside it in the same file, and
 * is read and compiled only when it is needed.
 */
import { getAsset } from 'node:sea'
import { Script } from 'node:vm'
import { version } from '../version.ts'

const [, , first, ...more] = process.argv
if ((first === '--version' || first === '-V') && more.length === 0)
  process.stdout.write(`${version()}\n`)
else loadRest()

/** As a module of CommonJS, which is how deploy/package/bundle.ts writes it. */
function loadRest(): void {
  const text = `(function(require,module,exports,__filename,__dirname){${getAsset('rest.cjs', 'utf8')}\n})`
  const run = new Script(text, { filename: 'hakiri.cjs' }).runInThisContext() as Wrapper
  const module = { exports: {} }
  run(require, module, module.exports, process.execPath, '/')
}

type Wrapper = (
  require: NodeJS.Require,
  module: object,
  exports: object,
  file: string,
  folder: string,
) => void
