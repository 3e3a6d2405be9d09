/** How names of .proto files are spelled in TypeScript. */

/** `prev_kv` → prevKv, `grantedTTL` → grantedTtl, `peerURLs` → peerUrls, `HashKV` → hashKv, `ID` → id. */
export function camelName(name: string): string {
  const words = name
    .replace(/URLs$/, '_urls')
    .replaceAll(/([a-z\d])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split('_')
    .filter((word) => word !== '')
  return words.map((word, index) => (index === 0 ? word : capital(word))).join('')
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
