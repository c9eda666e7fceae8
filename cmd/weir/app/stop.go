package app

import "context"

// retire tells load balancers that a stop is coming, by /readyz and gRPC health, and
// goes on as before for serving.stop_delay, so that they have sent new calls
// elsewhere when the first of them would be refused. A fault ends the waiting.
func (a *App) retire(work context.Context) {
	a.stopping.Store(true)
	if a.server != nil {
		a.server.Retire()
	}
	if d := a.cfg.Serving.StopDelay; d > 0 {
		a.log.Info("not ready; stopping soon", "in", d.String())
		select {
		case <-a.after(d):
		case <-work.Done():
		}
	}
}
