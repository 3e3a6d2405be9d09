/** Where --config points: at a file, or at the folder of a hakiri.toml. */
export function manifestAt(path: string): { readonly file: string } | { readonly folder: string } {
  return path.endsWith('.toml') ? { file: path } : { folder: path }
}
