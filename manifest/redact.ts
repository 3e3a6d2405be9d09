/** Hides known secrets in text, in every spelling that logs and addresses give them. */

export type Redactor = {
  hide(secret: string): void
  /** Hides the password of an address, whoever wrote the address. */
  hidePassword(address: string): void
  redact(text: string): string
}

const MASK = '***'
/** Shorter values would blot out ordinary words. */
const LENGTH_MIN = 4

export function createRedactor(): Redactor {
  let spellings: readonly string[] = []

  const hide = (secret: string): void => {
    if (secret.length < LENGTH_MIN) return
    const all = new Set([...spellings, ...spellingsOf(secret)])
    spellings = [...all].toSorted((a, b) => b.length - a.length)
  }
  return {
    hide,
    hidePassword(address) {
      for (const password of passwordsOf(address)) hide(password)
    },
    redact: (text) => spellings.reduce((rest, one) => rest.replaceAll(one, MASK), text),
  }
}

/** As it is, within JSON, and within a url (percent-encoded, or as a form field). */
function spellingsOf(secret: string): string[] {
  const text = secret.toWellFormed()
  const form = new URLSearchParams({ v: text }).toString().slice(2)
  const encoded = encodeURIComponent(text)
  const lowerCase = encoded.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
  return [secret, JSON.stringify(secret).slice(1, -1), encoded, lowerCase, form]
}

function passwordsOf(address: string): string[] {
  const [, inUrl] =
    /^[a-z][\w+.-]*:\/\/[^/?#\s:@]*:([^/?#\s]+)@/i.exec(address) ??
    /^[a-z][\w+.-]*:\/\/[^/?#\s:@]*:([^\s@]+)@/i.exec(address) ??
    []
  const inQuery = /[?&](?:ssl)?password=([^&\s]+)/i.exec(address)?.[1]
  const inKeywords = /(?:^|\s)password\s*=\s*('[^']*'|\S+)/i.exec(address)?.[1]
  return [inUrl, inQuery, inKeywords?.replaceAll("'", '')]
    .filter((one) => one !== undefined)
    .flatMap((one) => [one, decode(one)])
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
