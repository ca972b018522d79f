// Package codecommittest is a CodeCommit for tests: the three calls that are made
// of it, over the wire, held against what the SDK sends. A word that the SDK's
// serialisers do not write is refused.
package codecommittest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
)

// File is a file of a commit.
type File struct{ Blob, Mode string }

// Commit is one commit.
type Commit struct {
	Parents []string
	Files   map[string]File
	Time    time.Time
}

// Server is one repository. What is exported is set before it serves, or with
// Do.
type Server struct {
	Name     string
	Branches map[string]string // to commits
	Commits  map[string]Commit
	Page     int                                          // of differences; 2 if it is 0
	Refuse   func(call string, n int) (code, text string) // the n-th request, from 1 on, fails with a code if there is one

	mu    sync.Mutex
	n     int
	calls []string // "GetDifferences {…}"
}

// New returns a repository without commits.
func New(name string) *Server {
	return &Server{Name: name, Branches: make(map[string]string), Commits: make(map[string]Commit)}
}

// Do changes the server while nothing is answered.
func (s *Server) Do(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Calls returns what was asked since the last call of it.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// ID is a commit's, made of a letter or word.
func ID(word string) string { return fmt.Sprintf("%x", word+strings.Repeat("-", 20))[:40] }

// Add makes a commit on a branch from files written as "path=content" after its
// parents' IDs. Its ID is ID(word).
func (s *Server) Add(branch, word string, parents []string, files ...string) string {
	c := Commit{Parents: parents, Files: make(map[string]File), Time: time.Unix(1700000000+int64(len(s.Commits)), 0).UTC()}
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		c.Files[path] = File{ID("blob" + content), "100644"}
	}
	s.Do(func() { s.Commits[ID(word)], s.Branches[branch] = c, ID(word) })
	return ID(word)
}

// Client is the SDK's own, towards a server at a URL. It tries three times
// without waiting.
func Client(url string) *codecommit.Client {
	return codecommit.New(codecommit.Options{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, BaseEndpoint: &url, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.Backoff = 3, retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	})
}

// fault is an error as CodeCommit answers it.
type fault struct{ code, text string }

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	target := r.Header.Get("X-Amz-Target")
	call, ours := strings.CutPrefix(target, "CodeCommit_20150413.")
	var body bytes.Buffer
	_, err := body.ReadFrom(r.Body)
	s.n++
	s.calls = append(s.calls, call+" "+body.String())
	var answer any
	failed := &fault{"InternalFailure", "cannot read the request"}
	if err == nil && ours && r.Header.Get("Content-Type") == "application/x-amz-json-1.1" && strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		answer, failed = s.answer(call, body.Bytes())
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if failed != nil {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"__type": failed.code, "message": failed.text}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Server) answer(call string, body []byte) (any, *fault) {
	if s.Refuse != nil {
		if code, text := s.Refuse(call, s.n); code != "" {
			return nil, &fault{code, text}
		}
	}
	var in struct{ RepositoryName, BranchName, CommitID, Before, After, Token string }
	var most int
	fields := map[string]any{"repositoryName": &in.RepositoryName}
	switch call {
	case "GetBranch":
		fields["branchName"] = &in.BranchName
	case "GetCommit":
		fields["commitId"] = &in.CommitID
	case "GetDifferences": // the two with capitals are so in both directions
		fields["beforeCommitSpecifier"], fields["afterCommitSpecifier"], fields["NextToken"], fields["MaxResults"] = &in.Before, &in.After, &in.Token, &most
	default:
		return nil, &fault{"UnknownOperationException", call}
	}
	if err := exact(body, fields); err != nil {
		return nil, &fault{"SerializationException", err.Error()}
	}
	switch {
	case in.RepositoryName == "":
		return nil, &fault{"RepositoryNameRequiredException", "a name is needed"}
	case in.RepositoryName != s.Name:
		return nil, &fault{"RepositoryDoesNotExistException", in.RepositoryName}
	case call == "GetBranch":
		return s.branch(in.BranchName)
	case call == "GetCommit":
		return s.commit(in.CommitID)
	}
	return s.differences(in.Before, in.After, in.Token, most)
}

// exact reads an object that has no other members than these, in these very
// letters.
func exact(body []byte, fields map[string]any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return err
	}
	for name, text := range members {
		into, known := fields[name]
		if !known {
			return fmt.Errorf("no member is called %q", name)
		}
		if err := json.Unmarshal(text, into); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) branch(name string) (any, *fault) {
	id, known := s.Branches[name]
	if !known {
		return nil, &fault{"BranchDoesNotExistException", name}
	}
	return map[string]any{"branch": map[string]string{"branchName": name, "commitId": id}}, nil
}

func (s *Server) commit(id string) (any, *fault) {
	c, known := s.Commits[id]
	if !known {
		return nil, &fault{"CommitIdDoesNotExistException", id}
	}
	by := map[string]string{"name": "c", "email": "c@example.com", "date": strconv.FormatInt(c.Time.Unix(), 10) + " -0800"}
	return map[string]any{"commit": map[string]any{"commitId": id, "treeId": ID("tree"), "parents": c.Parents, "message": "m\n", "author": by, "committer": by, "additionalData": ""}}, nil
}

// difference is one as CodeCommit writes it.
type difference struct {
	BeforeBlob *blob  `json:"beforeBlob,omitempty"`
	AfterBlob  *blob  `json:"afterBlob,omitempty"`
	ChangeType string `json:"changeType"`
}

type blob struct {
	BlobID string `json:"blobId"`
	Path   string `json:"path"`
	Mode   string `json:"mode"`
}

func (s *Server) differences(before, after, token string, most int) (any, *fault) {
	var old map[string]File
	for _, c := range []struct {
		id    string
		files *map[string]File
	}{{before, &old}, {after, new(map[string]File)}} {
		if c.id == "" && c.id != after {
			continue
		}
		commit, known := s.Commits[c.id]
		if !known {
			return nil, &fault{"CommitDoesNotExistException", c.id}
		}
		*c.files = commit.Files
	}
	all := compare(old, s.Commits[after].Files)
	from, err := strconv.Atoi("0" + strings.TrimPrefix(token, before+after+"/"))
	if err != nil || token != "" && !strings.HasPrefix(token, before+after+"/") || from > len(all) {
		return nil, &fault{"InvalidContinuationTokenException", token}
	}
	page := s.Page
	if page == 0 {
		page = 2
	}
	if most > 0 {
		page = min(page, most)
	}
	to := min(from+page, len(all))
	answer := map[string]any{"differences": all[from:to]}
	if to < len(all) {
		answer["NextToken"] = before + after + "/" + strconv.Itoa(to)
	}
	return answer, nil
}

func compare(old, now map[string]File) []difference {
	all := []difference{}
	paths := slices.Concat(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(now)))
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		was, had := old[path]
		is, has := now[path]
		d := difference{ChangeType: "M"}
		if had {
			d.BeforeBlob = &blob{was.Blob, path, was.Mode}
		}
		if has {
			d.AfterBlob = &blob{is.Blob, path, is.Mode}
		}
		switch {
		case was == is:
			continue
		case !had:
			d.ChangeType = "A"
		case !has:
			d.ChangeType = "D"
		}
		all = append(all, d)
	}
	return all
}
