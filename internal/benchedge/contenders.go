package benchedge

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// contender is a server under test, as it is started in an empty folder.
type contender struct {
	name    string
	program string // that must be installed
	version []string
	command func(s setting) ([]string, error)
	plain   bool // it does not speak TLS
}

// setting is where a contender finds and puts things.
type setting struct {
	dir    string // an empty one, in memory
	port   int
	origin string // host and port
	own    string // the path of our own program
	large  bool   // bodies are larger than 32 KiB
	log    string // file of the access log; empty for none
	pem    string // file of a certificate and its key, in this order, where viewers are answered over TLS; empty for plain HTTP
	purge  bool   // things are going to be invalidated
	disk   bool   // our own program keeps what it has on a disk, too
	scarce bool   // there is memory for a part of what is cached only, and a folder on a disk
}

// memory is how many MiB a contender has for what it caches, where it can be told.
func (s setting) memory() int {
	if s.scarce {
		return scarceMemory
	}
	return 4096
}

// contenders are all that are compared, the one first that the others are
// measured by.
func contenders() []contender {
	return []contender{
		{"nginx", "nginx", []string{"nginx", "-v"}, nginx, false},
		{"HAProxy", "haproxy", []string{"haproxy", "-v"}, haproxy, false},
		{"Varnish", "varnishd", []string{"varnishd", "-V"}, varnish, true},
		{"Apache Traffic Server", "traffic_server", []string{"traffic_server", "-V"}, trafficServer, false},
		{ourName, "", nil, freshet, false},
	}
}

// ourName is what the edge goes by.
const ourName = "freshet"

// onDisk is our own program with its cache on a disk, too, if it is measured at
// all.
func (b *bench) onDisk() []contender {
	if !slices.ContainsFunc(b.contenders, func(c contender) bool { return c.name == ourName }) {
		return nil
	}
	return []contender{{name: ourName + " --disk", command: func(s setting) ([]string, error) {
		s.disk = true
		return freshet(s)
	}}}
}

// chosen are those of all that names has, in its order.
func chosen(all []contender, names string) (some []contender) {
	if names == "" {
		return all
	}
	for name := range strings.SplitSeq(names, ",") {
		for _, c := range all {
			if c.name == name {
				some = append(some, c)
			}
		}
	}
	return some
}

// installed reports which contenders can be started here.
func installed(all []contender) (can []contender, missing []string) {
	for _, c := range all {
		if c.program == "" {
			can = append(can, c)
		} else if _, err := exec.LookPath(c.program); err == nil {
			can = append(can, c)
		} else {
			missing = append(missing, c.name)
		}
	}
	return can, missing
}

// versionOf is the first line in which a program says which it is.
func (c contender) versionOf() string {
	if c.version == nil {
		return c.name
	}
	said, _ := exec.Command(c.version[0], c.version[1:]...).CombinedOutput() // some end with 1
	line, _, _ := bytes.Cut(bytes.TrimSpace(said), []byte("\n"))
	return string(line)
}

func write(path, text string, with ...any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, text, with...), 0o644); err != nil { //nolint:gosec // for programs that give their rights up
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// nginx is at its best with one worker, its cache in memory, open files
// remembered, and sendfile for large bodies only. Over TLS it speaks HTTP/2, has
// records of 16 KiB and the suite that costs least, as all of them here.
func nginx(s setting) ([]string, error) {
	sendfile, log, secure, keys := "sendfile off;", "access_log off;", "", ""
	if s.pem != "" {
		secure = " ssl http2"
		keys = "ssl_certificate " + s.pem + "; ssl_certificate_key " + s.pem + "; ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m; ssl_session_tickets on;" +
			" ssl_prefer_server_ciphers on; ssl_conf_command Ciphersuites " + suite + ";"
	}
	if s.large && s.pem == "" {
		sendfile = "sendfile on; tcp_nopush off;"
	}
	if s.log != "" {
		log = "access_log " + s.log + " combined buffer=64k flush=1s;"
	}
	// As long as it remembers an open file, it goes on to serve one that was removed.
	remember := "1h"
	if s.purge {
		remember = "1s"
	}
	const text = `worker_processes 1; daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/error.log error; user root;
events { worker_connections %[10]d; multi_accept on; }
http {
	%[2]s %[3]s
	keepalive_requests 1000000000; keepalive_timeout 300s; tcp_nodelay on;
	open_file_cache max=%[9]d inactive=1h; open_file_cache_valid %[8]s; open_file_cache_min_uses 1;
	proxy_cache_path %[1]s/cache levels=1:2 keys_zone=c:400m max_size=16g inactive=1h use_temp_path=off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/temp; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	upstream o { server %[4]s; keepalive 64; }
	server {
		listen 127.0.0.1:%[5]d%[6]s backlog=4096;
		%[7]s
		location / {
			proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection "";
			proxy_cache c; proxy_cache_key $host$request_uri; proxy_cache_valid 200 1h; proxy_cache_lock on;
			add_header X-Cache $upstream_cache_status;
		}
	}
}
`
	file := filepath.Join(s.dir, "nginx.conf")
	return []string{"nginx", "-p", s.dir, "-c", file, "-e", filepath.Join(s.dir, "error.log")}, write(file, text, s.dir, sendfile, log, s.origin, s.port, secure, keys, remember, max(openFiles()-2*nginxConnections, 1000), nginxConnections)
}

// nginxConnections is for how many connections, to viewers and origins, nginx has
// room.
const nginxConnections = 8192

// suite is how all encrypt: with AES of 128 bits, which the processor knows.
const suite = "TLS_AES_128_GCM_SHA256"

func haproxy(s setting) ([]string, error) {
	log := ""
	if s.log != "" {
		log = "log stdout format raw local0\n\toption httplog"
	}
	secure := ""
	if s.pem != "" {
		secure = " ssl crt " + s.pem + " alpn h2,http/1.1 ssl-min-ver TLSv1.3 ciphersuites " + suite
	}
	const text = `global
	nbthread 1
	maxconn 9000
	tune.bufsize 32768
defaults
	mode http
	timeout connect 5s
	timeout client 300s
	timeout server 60s
	%[1]s
cache c
	total-max-size 1024
	max-object-size 20000000
	max-age 3600
frontend f
	bind 127.0.0.1:%[2]d%[4]s
	http-request cache-use c
	http-response cache-store c
	default_backend o
backend o
	server o %[3]s
`
	file := filepath.Join(s.dir, "haproxy.cfg")
	return []string{"haproxy", "-f", file}, write(file, text, log, s.port, s.origin, secure)
}

func varnish(s setting) ([]string, error) {
	host, port, _ := strings.Cut(s.origin, ":")
	const text = `vcl 4.1;
backend o { .host = "%s"; .port = "%s"; }
%s`
	file := filepath.Join(s.dir, "b.vcl")
	storage := "malloc,4g"
	if s.scarce { // it has a file's pages in memory as the system likes
		storage = "file," + filepath.Join(s.dir, "storage") + ",4g"
	}
	args := []string{
		"varnishd", "-F", "-n", filepath.Join(s.dir, "run"), "-a", fmt.Sprintf("127.0.0.1:%d", s.port), "-f", file, "-s", storage,
		"-p", "thread_pools=1", "-p", "thread_pool_min=100", "-p", "thread_pool_max=3000", "-p", "thread_pool_stack=64k",
	}
	return args, write(file, text, host, port, rulesOf(s))
}

// rulesOf are the parts of Varnish's VCL that depend on what is measured. Bans
// name only what the lurker can see, so that it may work them off.
func rulesOf(s setting) string {
	if !s.purge {
		return "sub vcl_recv { unset req.http.Cookie; }\n"
	}
	imports, tags := "import std;\n", ""
	if xkeyInstalled() {
		imports += "import xkey;\n"
		tags = "\tif (req.method == \"XKEY\") { set req.http.X-Gone = xkey.purge(req.http.X-Tag); return (synth(200)); }\n"
	}
	return imports + `sub vcl_recv {
	unset req.http.Cookie;
	if (req.method == "BAN") {
		if (std.ban("obj.http.X-Url ~ " + req.http.X-Ban)) { return (synth(200)); }
		return (synth(500, std.ban_error()));
	}
` + tags + `}
sub vcl_backend_response {
	set beresp.http.X-Url = bereq.url;
	if (beresp.http.Cache-Tag) { set beresp.http.xkey = beresp.http.Cache-Tag; }
}
sub vcl_deliver { unset resp.http.X-Url; unset resp.http.xkey; }
`
}

// trafficServer runs with everything below one folder, and its cache in memory.
func trafficServer(s setting) ([]string, error) {
	said, err := exec.Command("traffic_layout", "info").Output()
	if err != nil {
		return nil, fmt.Errorf("ask where Traffic Server is installed: %w", err)
	}
	plugins := ""
	for line := range strings.Lines(string(said)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "PLUGINDIR" {
			plugins = strings.TrimSpace(value)
		}
	}
	etc := filepath.Join(s.dir, "etc")
	for _, d := range []string{"var", "log", "cache", "run"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("make a folder for Traffic Server: %w", err)
		}
	}
	layout := "prefix: %[1]s\nexec_prefix: %[1]s\nbindir: /usr/bin\nsbindir: /usr/sbin\nsysconfdir: %[1]s/etc\ndatadir: %[1]s/var\nlibexecdir: %[2]s\n" +
		"localstatedir: %[1]s/var\nruntimedir: %[1]s/run\nlogdir: %[1]s/log\ncachedir: %[1]s/cache\n"
	logging := 0
	if s.log != "" {
		logging = 3
	}
	secure, multicert := "", ""
	if s.pem != "" {
		secure, multicert = ":ssl", "dest_ip=* ssl_cert_name="+s.pem+" ssl_key_name="+s.pem+"\n"
	}
	const records = `CONFIG proxy.config.http.server_ports STRING %d:ip-in=127.0.0.1%s
CONFIG proxy.config.ssl.server.cert.path STRING /
CONFIG proxy.config.ssl.server.private_key.path STRING /
CONFIG proxy.config.ssl.server.honor_cipher_order INT 1
CONFIG proxy.config.ssl.server.TLSv1_3.cipher_suites STRING ` + suite + `
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.cache.ram_cache.size INT %d
CONFIG proxy.config.cache.ram_cache_cutoff INT 20971520
CONFIG proxy.config.http.insert_response_via_str INT 0
CONFIG proxy.config.log.logging_enabled INT %d
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 300
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.cache.min_average_object_size INT 1500
`
	for name, text := range map[string]string{
		"ip_allow.yaml":        "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n",
		"remap.config":         "map / http://" + s.origin + "/\n",
		"storage.config":       filepath.Join(s.dir, "cache") + " 2G\n",
		"records.config":       fmt.Sprintf(records, s.port, secure, s.memory()<<20, logging),
		"ssl_multicert.config": multicert,
	} {
		if err := write(filepath.Join(etc, name), "%s", text); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(s.dir, "layout.yaml")
	return []string{"env", "TS_RUNROOT=" + file, "traffic_server"}, write(file, layout, s.dir, plugins)
}

// freshet is the whole program, with a distribution that caches as CloudFront's
// recommended policy says.
func freshet(s setting) ([]string, error) {
	const config = "origins: {bench.test: \"http://%s\"}\nmemory: %dMiB\n%s"
	const described = `Id: E1BENCH
DistributionConfig:
  Enabled: true
  Origins:
    - Id: bench
      DomainName: bench.test
      CustomOriginConfig: {HTTPPort: 80, OriginProtocolPolicy: http-only}
  DefaultCacheBehavior:
    TargetOriginId: bench
    ViewerProtocolPolicy: allow-all
    CachePolicyId: Managed-CachingOptimized
`
	log, tags := "", ""
	if s.purge {
		tags = "  CacheTagConfig: {HeaderName: Cache-Tag}\n"
	}
	if s.log != "" {
		log = "access_logs: " + filepath.Join(s.dir, "logs") + "\n"
	}
	if err := write(filepath.Join(s.dir, "freshet.yaml"), config, s.origin, s.memory(), log); err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "distribution.yaml")
	args := []string{
		"env", "GOMAXPROCS=1", s.own, "up", "--json", "--data", filepath.Join(s.dir, "data"), "--s3", "127.0.0.1:0", "--api", "127.0.0.1:0", "--distribution", file,
		"--metrics", "127.0.0.1:0", "--pprof", "127.0.0.1:0",
	}
	if s.disk {
		args = append(args, "--disk", filepath.Join(s.dir, "cache")+",8GiB")
	}
	at := fmt.Sprintf("127.0.0.1:%d", s.port)
	if s.pem == "" {
		args = append(args, "--edge", at)
	} else {
		args = append(args, "--edge", "127.0.0.1:0", "--tls", at, "--tls-cert", s.pem, "--tls-key", s.pem)
	}
	return args, write(file, "%s", described+tags)
}
