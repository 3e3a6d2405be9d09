/** The version of this build, from package.json, wherever that ends up when the command line is bundled. */
import facts from '../package.json' with { type: 'json' }

export function version(): string {
  return facts.version
}
