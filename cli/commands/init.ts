/** `hakiri init`: a project that runs as it is. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { HakiriError } from '../../lib/error.ts'
import { projectFiles } from '../../manifest/template.ts'
import type { CommandRun } from '../command.ts'

export const init: CommandRun = async ({ args }) => {
  const folder = resolve((args[0] as string | undefined) ?? '.')
  await mkdir(folder, { recursive: true })
  const present = new Set(await readdir(folder))
  const clash = ['hakiri.toml', '.hakiri'].find((name) => present.has(name))
  if (clash) {
    throw new HakiriError('USAGE', `${folder} already has ${clash}`, {
      suggestion: 'Name another folder: `hakiri init my-project`.',
    })
  }
  const written: string[] = []
  for (const [name, text] of Object.entries(projectFiles())) {
    const path = join(folder, name)
    if (present.has(name)) continue
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text, { flag: 'wx' })
    written.push(name)
  }
  const enter = relative(process.cwd(), folder)
  return {
    result: { folder, files: written },
    summary: `✓ project made; next: ${enter ? `cd ${enter} && ` : ''}hakiri run`,
    text: written.map((name) => `  ${name}`).join('\n'),
  }
}
