package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-ml/weir/registry/feature"
)

// Metrics are what /metrics shows.
func (a *App) Metrics() *prometheus.Registry { return a.metrics }

// httpServer answers /metrics, /healthz and /readyz.
type httpServer struct {
	srv *http.Server
	mux *http.ServeMux // handlers may be added while it serves; the paths of those that are not there yet are not found
	ln  net.Listener
}

func (a *App) startHTTP() error {
	ln, err := net.Listen("tcp", a.cfg.HTTP.Addr)
	if err != nil {
		return feature.Errorf(feature.Invalid, "start", "http "+a.cfg.HTTP.Addr, "%w", err).WithHint("another Weir may be running there; choose another address: --set http.addr=127.0.0.1:0")
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := a.unready(r.Context()); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	a.http = &httpServer{ln: ln, mux: mux, srv: &http.Server{Handler: guard(mux, ln.Addr(), a.cfg.HTTP.Hosts, a.log), ReadHeaderTimeout: 5 * time.Second}}
	go func() {
		if err := a.http.srv.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("http server", "err", err)
		}
	}()
	a.onClose("http", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return a.http.srv.Shutdown(ctx)
	})
	return nil
}

// unready says why a lookup cannot be answered now; empty when it can. What may be shown to anybody is shown: the log has the rest.
func (a *App) unready(ctx context.Context) string {
	select {
	case <-a.ready:
	default:
		return "starting"
	}
	if a.stopping.Load() {
		return "stopping"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := a.store.Ping(ctx); err != nil {
		a.sayUnready(err)
		return "the online store does not answer; the log and weir_redis_shut say more"
	}
	if err := a.filled(ctx); err != nil {
		a.sayUnready(err)
		return "the online store has not got all rows yet; the log says which"
	}
	return ""
}

// sayUnready logs why, once a minute.
func (a *App) sayUnready(err error) {
	now := time.Now().Unix()
	if last := a.saidUnready.Load(); now-last >= 60 && a.saidUnready.CompareAndSwap(last, now) {
		a.log.Warn("not ready for lookups", "err", err)
	}
}
