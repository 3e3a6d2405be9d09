/**
 * The version of the etcd API that clients are told: they gate features on it, and an empty or foreign
 * one switches features off. Hakiri's own stands in /version beside it.
 */

/** What this edge answers like. */
export const ETCD_VERSION = '3.5.21'
/** The version all members can be expected to speak. */
export const CLUSTER_VERSION = '3.5.0'
