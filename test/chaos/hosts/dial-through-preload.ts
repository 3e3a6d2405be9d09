/** Loaded with --import into a Node program on a host of a proxy lab, before the program itself. */
import { type DialSettings, dialThrough } from './dial-through.ts'

/** Holds the settings as JSON. */
const settings = process.env['HAKIRI_CHAOS_DIAL']
if (settings !== undefined) dialThrough(JSON.parse(settings) as DialSettings)
