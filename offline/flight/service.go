package flight

import (
	"context"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
)

// Catalogs tells what is defined; *registry.Registry does.
type Catalogs interface {
	Current(ctx context.Context) (*registry.Catalog, error)
}

// Options are what a Service works with.
type Options struct {
	Config   Config
	Trainer  offline.Trainer
	Catalogs Catalogs
	// Folder is where spines wait for their DoGet; it is made with the first of them.
	Folder string
	// MaxMessage is the most bytes that a message may have, as the gRPC server is configured.
	MaxMessage int
}

// Service is Arrow Flight's service. Its methods may be called at once by any
// number of clients; a join's place among others is the trainer's matter.
type Service struct {
	arrowflight.BaseFlightServer
	opts  Options
	store *store
}

// New makes a service. Close it when no call runs any more.
func New(o Options) (*Service, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	return &Service{opts: o, store: newStore(o.Config, o.Folder)}, nil
}

// Close throws away the spines that wait.
func (s *Service) Close() error { return s.store.close() }

func (s *Service) inbox(from arrowflight.DataStreamReader) *inbox {
	return &inbox{from: from, most: s.opts.MaxMessage}
}

// DoExchange reads the spine from the call, and sends the training set while it is made.
func (s *Service) DoExchange(stream arrowflight.FlightService_DoExchangeServer) error {
	in := s.inbox(stream)
	first, err := in.peek()
	if err != nil {
		return err
	}
	own, feast, err := descriptor(first.FlightDescriptor)
	if err != nil {
		return err
	}
	if err := s.train(stream.Context(), own, feast, in, stream); err != nil {
		if feast != nil {
			// The SDK makes an exception of its own only of what it hears once it has sent everything.
			_ = in.drain()
		}
		return err
	}
	return nil
}

// DoPut keeps a spine for the DoGet that follows it.
func (s *Service) DoPut(stream arrowflight.FlightService_DoPutServer) error {
	in := s.inbox(stream)
	first, err := in.peek()
	if err != nil {
		return err
	}
	d := first.FlightDescriptor
	own, feast, err := descriptor(d)
	if err != nil {
		return err
	}
	if feast != nil {
		if done, err := feast.put(in); done || err != nil {
			return err
		}
	} else if own.ID == "" {
		return invalid("command", "it has no id, and could not be told from the command of another upload").
			WithHint(`add "id" with a name that nobody else uses, or use do_exchange`)
	}
	return s.store.put(stream.Context(), key(d), in)
}

// GetFlightInfo says what a command gives, and where its spine waits the ticket for it.
func (s *Service) GetFlightInfo(ctx context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	own, feast, err := descriptor(d)
	if err != nil {
		return nil, err
	}
	info := &arrowflight.FlightInfo{FlightDescriptor: d, TotalRecords: -1, TotalBytes: -1}
	waits := s.store.has(key(d))
	if waits {
		// No address: the connection that asked is good for DoGet too.
		info.Endpoint = []*arrowflight.FlightEndpoint{{Ticket: &arrowflight.Ticket{Ticket: d.Cmd}}}
	}
	switch {
	case feast != nil && !waits:
		return nil, notWaiting()
	case feast != nil:
		info.Schema = emptySchema()
	default:
		if info.Schema, err = s.schema(ctx, own); err != nil {
			return nil, err
		}
	}
	return info, nil
}

// DoGet makes the training set of a spine that waits, and forgets the spine once it has been sent.
func (s *Service) DoGet(t *arrowflight.Ticket, stream arrowflight.FlightService_DoGetServer) error {
	d := &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: t.GetTicket()}
	own, feast, err := descriptor(d)
	if err != nil {
		return err
	}
	spine, back, err := s.store.take(key(d))
	if err != nil {
		return err
	}
	err = s.train(stream.Context(), own, feast, s.inbox(spine), stream)
	back(err == nil)
	return err
}

// train answers one command.
func (s *Service) train(ctx context.Context, own *Command, feast *feastCommand, in *inbox, out arrowflight.DataStreamWriter) error {
	if feast != nil {
		return s.feast(ctx, feast, in, out)
	}
	spine, err := in.open()
	if err != nil {
		return err
	}
	defer spine.Release()
	req := own.request()
	req.Spine.Rows = spine
	_, err = s.run(ctx, req, out, nil)
	return err
}

// run makes a training set and sends it. rename gives the columns that are sent, and their names; nil sends all of them.
func (s *Service) run(ctx context.Context, req offline.TrainingRequest, to arrowflight.DataStreamWriter, rename func(*columns) error) (offline.Created, error) {
	out := &output{to: to, most: s.opts.MaxMessage, rename: rename, spine: req.Spine.Rows.Schema()}
	defer out.release()
	req.Begin, req.Sink = out.begin, out.write
	made, err := s.opts.Trainer.Train(ctx, req)
	if err != nil {
		return made, err
	}
	return made, out.end(made)
}
