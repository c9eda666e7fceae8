package command

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/cmd/weir/demo"
	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/secret"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func (e *env) demo() *cobra.Command {
	var exit bool
	var dir string
	var with demoPlatform
	c := &cobra.Command{
		Use:   "demo",
		Short: "Everything at once: a sample project, a live stream, a drift, and what to look at next",
		Long: `Runs everything in one process, publishes a day of customer records in seconds, lets the prices
change, and shows what happened, up to the event that asks for retraining and where it goes.

With --with-airflow the event starts a run of the DAG retrain_churn there (examples/churn has
one), with --with-mlflow the champion of model churn gets its tags; where MLflow has no
champion of that name, the demo registers a version that says so.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.runDemo(cmd.Context(), dir, exit, with)
		},
	}
	c.Flags().BoolVar(&exit, "exit", false, "end after the story instead of staying up")
	c.Flags().StringVar(&dir, "data", "", "folder to keep the demo's data in; a temporary one, removed at the end, when not given")
	c.Flags().StringVar(&with.mlflow, "with-mlflow", "", "address of an MLflow whose model version the event tags")
	c.Flags().StringVar(&with.airflow, "with-airflow", "", "address of an Airflow where the event starts a run")
	c.Flags().StringVar(&with.user, "airflow-user", "admin", "who starts it")
	c.Flags().StringVar(&with.password, "airflow-password", "env:AIRFLOW_PASSWORD", "where the password is: env:NAME or file:PATH")
	return c
}

// demoPlatform is what the demo's event may start; addresses are empty for none.
type demoPlatform struct{ mlflow, airflow, user, password string }

// settings adds the platform to what Weir is started with.
func (p *demoPlatform) settings(c *app.Config) error {
	if p.mlflow != "" {
		c.MLflow.URL = p.mlflow
	}
	if p.airflow != "" {
		c.Pipelines = append(c.Pipelines, app.PipelineConfig{Name: demo.ToAirflow, Type: "airflow", URL: p.airflow, Takes: []string{demo.Pipeline},
			User: p.user, Password: secret.Ref(p.password)})
		if _, err := secret.Ref(p.password).Read(); err != nil {
			return feature.Errorf(feature.Invalid, "demo", "--airflow-password", "%w", err).WithHint("set AIRFLOW_PASSWORD, or say where it is: env:NAME or file:PATH")
		}
	}
	return c.Validate()
}

func (e *env) runDemo(ctx context.Context, dir string, exit bool, with demoPlatform) error {
	if dir == "" {
		tmp, err := os.MkdirTemp("", "weir-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	set := map[string]string{"data_dir": dir, "ingest.flush_interval": "500ms", "log.level": "error"}
	c, err := e.load(set)
	if err != nil {
		return err
	}
	freeAddresses(&c)
	if err := with.settings(&c); err != nil {
		return err
	}
	a, err := app.New(c, e.logger(c.Log))
	if err != nil {
		return err
	}
	a.Version = Version
	run, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(run) }()
	select {
	case <-a.Ready():
	case err := <-ended:
		return err
	}
	people := e.output != "json"
	if people {
		fmt.Fprintf(e.out, "Weir is up: Kafka %s, Redis %s, gRPC %s, metrics http://%s/metrics\n", a.KafkaAddr(), a.RedisAddr(), a.GRPCAddr(), a.HTTPAddr())
	}
	report, err := e.tellDemo(ctx, a, c.MLflow, with, dir, people)
	if err != nil {
		stop()
		<-ended
		return err
	}
	if !people {
		if err := printJSON(e.out, report); err != nil {
			return err
		}
	}
	if !exit {
		if people {
			fmt.Fprintln(e.out, "\nWeir stays up until Ctrl-C.")
		}
		select {
		case <-ctx.Done():
		case err := <-ended:
			return err
		}
	}
	stop()
	return <-ended
}

func (e *env) tellDemo(ctx context.Context, a *app.App, m app.MLflowConfig, with demoPlatform, dir string, people bool) (*demo.Report, error) {
	cl, err := connect(a.GRPCAddr(), "default")
	if err != nil {
		return nil, err
	}
	defer cl.close()
	bar := e.bar(1, "")
	progress := func(stage string, done, total int64) {
		if people {
			bar.Describe(stage)
			bar.ChangeMax64(max(total, 1))
			_ = bar.Set64(min(done, total))
		}
	}
	var registry *mlflow.Client
	if m.URL != "" {
		registry = mlflow.New(m.Config)
	}
	report, err := demo.Run(ctx, demo.Clients{
		MLflow:   registry,
		Kafka:    []kgo.Opt{kgo.SeedBrokers(a.KafkaAddr())},
		Registry: cl.registry, Features: cl.features, Ingest: cl.ingest, Held: cl.quarantine, Monitors: cl.monitors, Events: cl.events,
		Snapshots: func(ctx context.Context, service, spine, out string) (*weirv1.Snapshot, error) {
			quiet := *e
			quiet.err = discardWriter{}
			return quiet.createSnapshot(ctx, cl, snapshotArgs{service: service, spine: spine, out: out, timeColumn: "event_timestamp"})
		},
	}, demo.Options{Pace: 8 * time.Second, Folder: dir, Progress: progress, Airflow: with.airflow})
	_ = bar.Finish()
	if err != nil {
		return nil, cl.explain(err)
	}
	if people {
		server := ""
		if a.GRPCAddr() != app.DefaultConfig().Server {
			server = a.GRPCAddr()
		}
		report.Tell(e.out, newTable, invoked(os.Args[0]), server)
	}
	return report, nil
}

// invoked is what to type for the same program again. `go run` removes what it runs.
func invoked(program string) string {
	switch {
	case strings.Contains(program, "go-build"):
		return "go run ./cmd/weir"
	case strings.ContainsRune(program, filepath.Separator):
		return program
	}
	return "weir"
}

// freeAddresses keeps the usual addresses where they are free and takes any
// free ones where another Weir is using them.
func freeAddresses(c *app.Config) {
	for _, addr := range []*string{&c.HTTP.Addr, &c.Serving.Addr, &c.Kafka.EmbeddedAddr, &c.Redis.EmbeddedAddr} {
		l, err := net.Listen("tcp", *addr)
		if err != nil {
			*addr = "127.0.0.1:0"
			continue
		}
		l.Close()
	}
}

type discardWriter struct{}

func (discardWriter) Write(b []byte) (int, error) { return len(b), nil }
