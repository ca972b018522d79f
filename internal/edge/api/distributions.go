package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

func (h *handler) getDistribution(c call) (reply, error) {
	d, err := h.Register.Distribution(c.args[0])
	if err != nil {
		return reply{}, err
	}
	etag, err := etagOf(d)
	return reply{header: map[string]string{"ETag": etag}, body: distributionXML{
		ID:                 d.ID,
		ARN:                h.arn(d),
		Status:             statusDeployed,
		LastModifiedTime:   h.lastModified(d),
		InProgress:         h.Register.InProgress(d.ID),
		DomainName:         d.DomainName,
		DistributionConfig: configDocument(d.Config),
	}}, err
}

func (h *handler) getDistributionConfig(c call) (reply, error) {
	d, err := h.Register.Distribution(c.args[0])
	if err != nil {
		return reply{}, err
	}
	etag, err := etagOf(d)
	return reply{header: map[string]string{"ETag": etag}, body: configRootXML{configXML: configDocument(d.Config)}}, err
}

// listDistributions pages through the distributions in the order of their IDs,
// since a configuration may change its own order between two pages.
func (h *handler) listDistributions(c call) (reply, error) {
	marker, limit, err := paging(c.URL.Query())
	if err != nil {
		return reply{}, err
	}
	all := slices.SortedFunc(slices.Values(h.Register.Distributions()), byID)
	begin, found := slices.BinarySearchFunc(all, marker, func(d distribution.Distribution, id string) int { return strings.Compare(d.ID, id) })
	if found {
		begin++
	}
	end := min(begin+limit, len(all))
	list := distributionListXML{pageXML: pageXML{Marker: marker, MaxItems: limit, IsTruncated: end < len(all), Quantity: end - begin}}
	if list.IsTruncated {
		list.NextMarker = all[end-1].ID
	}
	var summaries []distributionSummaryXML
	for _, d := range all[begin:end] {
		summary, err := h.summary(d)
		if err != nil {
			return reply{}, err
		}
		summaries = append(summaries, summary)
	}
	list.Items = some(summaries)
	return reply{body: list}, nil
}

func byID(a, b distribution.Distribution) int { return cmp.Compare(a.ID, b.ID) }

func (h *handler) summary(d distribution.Distribution) (distributionSummaryXML, error) {
	etag, err := etagOf(d)
	return distributionSummaryXML{
		ID:               d.ID,
		ARN:              h.arn(d),
		ETag:             etag,
		Status:           statusDeployed,
		LastModifiedTime: h.lastModified(d),
		DomainName:       d.DomainName,
		sharedXML:        sharedDocument(d.Config),
	}, err
}

// statusDeployed is the status of every distribution: the edge has a
// configuration before the API can show it.
const statusDeployed = "Deployed"

func (h *handler) arn(d distribution.Distribution) string {
	return "arn:aws:cloudfront::" + h.Account + ":distribution/" + d.ID
}

func (h *handler) lastModified(d distribution.Distribution) string {
	if d.LastModified.IsZero() {
		return timestamp(h.opened)
	}
	return timestamp(d.LastModified)
}

// etagOf names a version of a distribution's configuration; like CloudFront's
// ETags it comes without quotes.
func etagOf(d distribution.Distribution) (string, error) {
	text, err := json.Marshal(d.Config)
	if err != nil {
		return "", fmt.Errorf("name the version of distribution %s: %w", d.ID, err)
	}
	return "E" + shortHash(string(text)), nil
}
