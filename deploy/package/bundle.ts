/** The code of a profile as one CommonJS file, with the native parts taken from inside the artifact. */
import { build, type Metafile, type Plugin } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type AddOn, type Profile, PROFILE_FACTS } from './profiles.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export type Bundle = {
  /** What begins: it answers --version by itself, and loads the rest for everything else. */
  readonly start: Buffer
  readonly code: Buffer
  readonly inputs: Metafile['inputs']
}

export async function bundleProfile(profile: Profile): Promise<Bundle> {
  const start = await bundle('cli/artifact/main.ts', profile)
  const rest = await bundle('cli/artifact/rest.ts', profile)
  return { start: start.code, code: rest.code, inputs: { ...start.inputs, ...rest.inputs } }
}

async function bundle(entry: string, profile: Profile): Promise<Omit<Bundle, 'start'>> {
  const { addOns, hasEncoder } = PROFILE_FACTS[profile]
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    // A letter beyond ASCII would double what the text takes in memory.
    charset: 'ascii',
    legalComments: 'none',
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    logLevel: 'error',
    // A script that is compiled by hand cannot import; what the runtime brings is required instead.
    supported: { 'dynamic-import': false },
    external: ['pg-native'],
    define: {
      HAKIRI_HAS_ENCODER: String(hasEncoder),
      'import.meta.url': 'HAKIRI_URL',
    },
    banner: { js: 'const HAKIRI_URL=require("node:url").pathToFileURL(process.execPath).href;' },
    plugins: [versionAlone, commandsOf(profile), nativeParts(addOns)],
  })
  const [file] = result.outputFiles
  if (!file) throw new Error('esbuild wrote nothing')
  return { code: Buffer.from(file.contents), inputs: result.metafile.inputs }
}

/** Of package.json a program wants the version, not which scripts a clone has. */
const versionAlone: Plugin = {
  name: 'version',
  setup(bundler) {
    bundler.onLoad({ filter: /\/package\.json$/ }, async ({ path }) => {
      if (path !== `${ROOT}package.json`) return undefined
      const { version } = JSON.parse(await readFile(path, 'utf8')) as { version: string }
      return { contents: JSON.stringify({ version }), loader: 'json' }
    })
  },
}

/** Puts the command table of a profile in the place of the whole one. */
function commandsOf(profile: Profile): Plugin {
  const { commands } = PROFILE_FACTS[profile]
  return {
    name: 'commands',
    setup(bundler) {
      if (commands === undefined) return
      bundler.onResolve({ filter: /^\.\/commands\.ts$/ }, ({ importer }) =>
        importer.startsWith(`${ROOT}cli/`) ? { path: `${ROOT}${commands}` } : undefined,
      )
    },
  }
}

/** Modules that find and load a native file; each is replaced by one that asks the artifact for it. */
const LOADERS: readonly (readonly [filter: RegExp, addOn: AddOn, importer: RegExp])[] = [
  [/^\.\/binding$/, 'classic-level', /\/classic-level\//],
  [/^@duckdb\/node-bindings$/, 'duckdb', /./],
  [/^@koromix\/koffi-/, 'koffi', /./],
  [/^@napi-rs\/keyring$/, 'keyring', /./],
]

function nativeParts(addOns: readonly AddOn[]): Plugin {
  return {
    name: 'native',
    setup(bundler) {
      // Its form for CommonJS names its native part in a way that a bundler can see.
      bundler.onResolve({ filter: /^koffi$/ }, () => ({
        path: `${ROOT}node_modules/koffi/index.cjs`,
      }))
      for (const [filter, addOn, importer] of LOADERS)
        bundler.onResolve({ filter }, (args) =>
          importer.test(args.importer) ? { path: addOn, namespace: 'native' } : undefined,
        )
      bundler.onLoad({ filter: /./, namespace: 'native' }, ({ path }) =>
        addOns.includes(path as AddOn)
          ? { contents: loaderOf(path), resolveDir: ROOT }
          : { errors: [{ text: `the profile has no ${path}, but something imports it` }] },
      )
    },
  }
}

function loaderOf(addOn: string): string {
  return `module.exports = require(${JSON.stringify(`${ROOT}cli/artifact/native.ts`)}).loadNative(${JSON.stringify(addOn)})`
}
