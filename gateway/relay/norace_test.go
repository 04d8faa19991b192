//go:build !race

package relay

const largeMegabytes = 200

// attachmentMegabytes of a message that is read for the rules.
const attachmentMegabytes = 50
