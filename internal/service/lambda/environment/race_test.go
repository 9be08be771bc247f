//go:build race

package environment

const raceDetector = true
