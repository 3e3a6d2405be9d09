/**
 * The OS keychain through an optional native package, loaded when the first secret is asked for: it may
 * be missing on this machine, and most commands never need it.
 */

/** The value stored under a name, or undefined. May reject where the keychain is locked or broken. */
export type Keychain = (name: string) => Promise<string | undefined>

const SERVICE = 'hakiri'
/** A keychain that asks a person on a screen nobody watches would never answer. */
const ANSWER_MS_MAX = 5_000

export const systemKeychain: Keychain = async (name) => {
  const { AsyncEntry } = await import('@napi-rs/keyring')
  const entry = new AsyncEntry(SERVICE, name)
  const value = await entry.getPassword(AbortSignal.timeout(ANSWER_MS_MAX))
  return value ?? undefined
}
