/**
 * The program that a chaos run puts on its hosts: the command line of a tree in one bundle, as an artifact
 * has it. A bundle starts several times faster than the tree, and a dozen processes that start again and
 * again have two processors.
 */
import { build, type Plugin } from 'esbuild'
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PROFILE_FACTS } from '../../../deploy/package/profiles.ts'
import { BUNDLE_OPTIONS } from '../../support/bundle-options.ts'

export type Program = {
  readonly node: string
  /** What node is to run, behind the options that an artifact has. */
  readonly main: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** Bundles the tree at `root` into a folder of its own. */
export async function bundleProgram(root: string, folder: string): Promise<Program> {
  await mkdir(folder, { recursive: true })
  // What stays outside of the bundle is found through it.
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await build({
    ...BUNDLE_OPTIONS,
    absWorkingDir: root,
    entryPoints: { main: 'cli/main.ts', child: 'sink/encoder/child.ts' },
    outdir: folder,
    plugins: [childOfBundle],
  })
  return {
    node: join(root, 'node_modules/.bin/node'),
    main: [...PROFILE_FACTS.full.execArgv, join(folder, 'main.mjs')],
    env: { NODE_COMPILE_CACHE: join(folder, 'compiled'), MALLOC_ARENA_MAX: '1' },
  }
}

const CHILD = "new URL('./child.ts', import.meta.url)"

/** The encoder's child is a program of its own; in a bundle it lies beside it under another name. */
const childOfBundle: Plugin = {
  name: 'child of the bundle',
  setup(building) {
    building.onLoad({ filter: /sink\/encoder\/create\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      if (!text.includes(CHILD)) throw new Error(`${path} has changed: where is the child now?`)
      return { contents: text.replace(CHILD, CHILD.replace('.ts', '.mjs')), loader: 'ts' }
    })
  },
}
