//go:build !race

package environment

const raceDetector = false
