package api

import "net/http"

// Whether a distribution has additional metrics in CloudWatch. Here that is only
// remembered, for tools that set it and read it back.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_MonitoringSubscription.html

func (h *handler) createMonitoring(c call) (reply, error) {
	f, err := readFields(c.body, "MonitoringSubscription")
	inner := f.group("RealtimeMetricsSubscriptionConfig")
	status := inner.text("RealtimeMetricsSubscriptionStatus")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	if err := inner.end(nil); err != nil {
		return reply{}, err
	}
	if !oneOf(status, "Enabled", "Disabled") {
		return reply{}, refuse(InvalidArgument, "The parameter RealtimeMetricsSubscriptionStatus is not valid: %q", clip(status))
	}
	made, err := h.setMonitoring(c, func(was string) (string, error) {
		if was != "" {
			return "", refuse("MonitoringSubscriptionAlreadyExists", "A monitoring subscription already exists for the specified distribution.")
		}
		return status, nil
	})
	if err != nil {
		return reply{}, err
	}
	return monitoringReply(made), nil
}

func (h *handler) getMonitoring(c call) (reply, error) {
	r, err := h.Catalog.state.Load().get(resourceKey{distributionKind, c.args[0]})
	if err != nil {
		return reply{}, err
	}
	if r.monitoring == "" {
		return reply{}, noMonitoring()
	}
	return monitoringReply(r), nil
}

func (h *handler) deleteMonitoring(c call) (reply, error) {
	_, err := h.setMonitoring(c, func(was string) (string, error) {
		if was == "" {
			return "", noMonitoring()
		}
		return "", nil
	})
	return reply{status: http.StatusOK}, err
}

func noMonitoring() error {
	return refuse("NoSuchMonitoringSubscription", "A monitoring subscription does not exist for the specified distribution.")
}

// setMonitoring replaces what there is. The distribution's version stays: the
// subscription is no part of its configuration.
func (h *handler) setMonitoring(c call, next func(was string) (string, error)) (*resource, error) {
	return h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, err := s.get(resourceKey{distributionKind, c.args[0]})
		if err != nil {
			return nil, err
		}
		made := *old
		made.monitoring, err = next(old.monitoring)
		return &made, err
	}, unjudged)
}

func monitoringReply(r *resource) reply {
	return reply{body: document{name: "MonitoringSubscription", below: []element{
		group("RealtimeMetricsSubscriptionConfig", text("RealtimeMetricsSubscriptionStatus", r.monitoring)),
	}}}
}
