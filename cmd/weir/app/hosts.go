package app

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
)

// A page in somebody's browser may have a name of its own point to 127.0.0.1, after it was loaded (DNS rebinding). For the browser what listens there is
// then the page's own server, and no rule about other origins holds. The name that it asks for is all that tells.

// checkHosts are the faults of http.hosts.
func checkHosts(hosts []string) error {
	for _, h := range hosts {
		if h != "*" && (h == "" || strings.ContainsAny(h, "/:*@ ")) {
			return fmt.Errorf("http.hosts: must be names without port or scheme, or * for any (got %q)", h)
		}
	}
	return nil
}

// guard refuses requests for names that are not the server's. Where it listens on more than this machine, and hosts is empty, names are the business of
// whoever made it reachable, and all are taken.
func guard(next http.Handler, at net.Addr, hosts []string, log *slog.Logger) http.Handler {
	tcp, _ := at.(*net.TCPAddr)
	if loopback := tcp != nil && tcp.IP.IsLoopback(); slices.Contains(hosts, "*") || !loopback && len(hosts) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := hostName(r.Host); !ours(name, hosts) {
			log.Debug("a request for a name that is not the server's was refused", "host", r.Host, "from", r.RemoteAddr)
			var f struct {
				Error struct {
					Code    string `json:"code"`
					Message string `json:"message"`
					Hint    string `json:"hint"`
				} `json:"error"`
			}
			f.Error.Code, f.Error.Message = "unauthorized", fmt.Sprintf("this server is not called %q", name)
			f.Error.Hint = "use its IP address or localhost, or name it in http.hosts, as where a proxy in front passes the name on"
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(f)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName is a request's host without the port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

func ours(name string, hosts []string) bool {
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") { // browsers always send one
		return true
	}
	address, _, _ := strings.Cut(name, "%") // with a zone
	return net.ParseIP(address) != nil || slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, name) })
}
