//go:build race

package relay

// The race detector makes a large message ten times slower.
const largeMegabytes = 80
