//go:build !race

package relay

const largeMegabytes = 200
