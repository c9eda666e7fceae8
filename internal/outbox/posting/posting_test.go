package posting_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox/posting"
)

func TestShown(t *testing.T) {
	for address, want := range map[string]string{
		"https://hooks.example.com/services/T0/B0/key":   "https://hooks.example.com/...",
		"https://me:pass@hooks.example.com:8443/x?a=b#c": "https://hooks.example.com:8443/...",
		"http://alertmanager:9093":                       "http://alertmanager:9093",
		"http://alertmanager:9093/":                      "http://alertmanager:9093",
		"http://h?key":                                   "http://h/...",
		"http://[::1":                                    "(an address that cannot be read)",
	} {
		require.Equal(t, want, posting.Shown(address), address)
	}
}
