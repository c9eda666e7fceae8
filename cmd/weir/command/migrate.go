package command

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/online/feastredis"
)

func (e *env) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring in what another feature store serves",
	}
	c.AddCommand(e.migrateFeastRedis())
	return c
}

// feastArgs is what people say to `weir migrate feast-redis`.
type feastArgs struct {
	redis, project, passwordFile string
	views                        []string
	spool                        string
	dryRun                       bool
	to                           feastredis.Config // what the flags add to the address
}

// passwordVariable holds the password of Feast's Redis, where no file does.
const passwordVariable = "FEAST_REDIS_PASSWORD"

func (e *env) migrateFeastRedis() *cobra.Command {
	var a feastArgs
	c := &cobra.Command{
		Use:   "feast-redis --redis ADDRESS [--feast-project P] [--view FEAST=WEIR]...",
		Short: "Copy the online values that Feast keeps in Redis",
		Long: `Reads the online values of a Feast project from its Redis, and brings them into views of
Weir as weir import does: through the same schema and suite into the table and the online
store, the event time as Feast has it. A newer row of Weir stays. Feast's Redis is only
read, and Feast may go on writing to it.

Views and features are found by their names; --view says which ones, and what a view is
called in Weir. They must be there: weir get view. Running it again brings in what is new
since then, and goes on where a run broke off. What could not be read is counted for each
view, with reasons and examples; a row is copied whole or not at all.

The address is a URL (redis://host:port/db, rediss:// with TLS) or the connection_string
of feature_store.yaml. Keep the password out of it: it is taken from --password-file, or
from FEAST_REDIS_PASSWORD.

The exit code is 1 when something could not be read, or was held back.`,
		Example: `  weir migrate feast-redis --redis redis://feast-redis:6379/0 --feast-project rides
  weir migrate feast-redis --redis node1:6379,node2:6379 --view driver_stats --view trips_v2=trips
  weir migrate feast-redis --redis rediss://reader@feast-redis:6379 --password-file secret --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := a.config()
			if err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error { return e.runMigrate(ctx, c, &a, from) })
		},
	}
	f := c.Flags()
	f.StringVar(&a.redis, "redis", "", "address of Feast's Redis")
	f.StringVar(&a.project, "feast-project", "", "project in Feast; the same as Weir's when not given")
	f.StringArrayVar(&a.views, "view", nil, "feature view, or FEAST=WEIR where the names differ; may be repeated; all views of Weir's project when not given")
	f.StringVar(&a.to.Username, "username", "", "user of Feast's Redis")
	f.StringVar(&a.passwordFile, "password-file", "", "file with the password of Feast's Redis")
	f.BoolVar(&a.to.Cluster, "cluster", false, "the one address is of a Redis cluster; several are anyway")
	f.StringVar(&a.to.Master, "sentinel-master", "", "the addresses are of sentinels, which know the server by this name")
	f.BoolVar(&a.to.TLS, "tls", false, "speak TLS to Feast's Redis")
	f.StringVar(&a.to.CAFile, "ca-file", "", "certificates to trust, PEM; the system's when not given")
	f.BoolVar(&a.dryRun, "dry-run", false, "read and judge all of it and say what would be taken; nothing is written")
	f.StringVar(&a.spool, "spool", "", "folder for rows on their way, some 300 bytes each; the system's for temporary files when not given")
	return c
}

// config is where Feast's Redis is, from the address, the flags and the environment.
func (a *feastArgs) config() (feastredis.Config, error) {
	if a.redis == "" {
		return feastredis.Config{}, fmt.Errorf("give --redis")
	}
	c, err := feastredis.Parse(a.redis)
	if err != nil {
		return c, err
	}
	c.Cluster, c.Master = a.to.Cluster, a.to.Master
	c.TLS = c.TLS || a.to.TLS
	if a.to.Username != "" {
		c.Username = a.to.Username
	}
	if a.to.CAFile != "" {
		c.CAFile = a.to.CAFile
	}
	switch {
	case a.passwordFile != "":
		b, err := os.ReadFile(a.passwordFile)
		if err != nil {
			return c, fmt.Errorf("--password-file: %w", err)
		}
		c.Password = secret.Text(strings.TrimRight(string(b), "\r\n"))
	case c.Password == "":
		c.Password = secret.Text(os.Getenv(passwordVariable))
	}
	return c, nil
}
