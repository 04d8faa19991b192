//go:build race

package relay

// The race detector makes a large message ten times slower.
const largeMegabytes = 80

// attachmentMegabytes of a message that is read for the rules.
const attachmentMegabytes = 24
