// Package secret keeps passwords out of logs, errors and printed settings.
//
// The one rule: a Text shows itself only where it is converted to a string.
package secret
