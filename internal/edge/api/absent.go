package api

import "net/http"

// absence is of a kind of resource that the edge has none of and cannot have:
// its list is empty, and whoever asks for one by its ID is told that it does not
// exist. What would make one is UnsupportedOperation, as all that we do not
// serve.
type absence struct {
	segment string // of paths
	missing string // error: there is none of that ID
	list    string // document; empty: it is listed by a POST, and is absentLists'
	page    pageStyle
	names   absentNames
}

// absentNames are of the operations. Empty ones do not exist.
type absentNames struct{ list, get, config, update, remove string }

func absences() []absence {
	of := func(word, list string) absentNames {
		return absentNames{list: list, get: "Get" + word, config: "Get" + word + "Config", update: "Update" + word, remove: "Delete" + word}
	}
	simple := func(word, list string) absentNames {
		return absentNames{list: list, get: "Get" + word, update: "Update" + word, remove: "Delete" + word}
	}
	encryption := of("FieldLevelEncryption", "ListFieldLevelEncryptionConfigs")
	encryption.update, encryption.remove = "UpdateFieldLevelEncryptionConfig", "DeleteFieldLevelEncryptionConfig"
	return []absence{
		{"field-level-encryption", "NoSuchFieldLevelEncryptionConfig", "FieldLevelEncryptionList", pageWithout, encryption},
		{"field-level-encryption-profile", "NoSuchFieldLevelEncryptionProfile", "FieldLevelEncryptionProfileList", pageWithout, of("FieldLevelEncryptionProfile", "ListFieldLevelEncryptionProfiles")},
		{"streaming-distribution", "NoSuchStreamingDistribution", "StreamingDistributionList", pageWithMarker, of("StreamingDistribution", "ListStreamingDistributions")},
		{"continuous-deployment-policy", "NoSuchContinuousDeploymentPolicy", "ContinuousDeploymentPolicyList", pageWithout, of("ContinuousDeploymentPolicy", "ListContinuousDeploymentPolicies")},
		{"vpc-origin", EntityNotFound, "VpcOriginList", pageWithMarker, simple("VpcOrigin", "ListVpcOrigins")},
		{"anycast-ip-list", EntityNotFound, "AnycastIpListCollection", pageWithMarker, simple("AnycastIpList", "ListAnycastIpLists")},
		{"distribution-tenant", EntityNotFound, "", pageWithout, simple("DistributionTenant", "")},
		{"connection-group", EntityNotFound, "", pageWithout, simple("ConnectionGroup", "")},
		{"connection-function", EntityNotFound, "", pageWithout, simple("ConnectionFunction", "")},
		{"trust-store", EntityNotFound, "", pageWithout, simple("TrustStore", "")},
	}
}

// absentOperations are those on what we have none of.
func absentOperations() []operation {
	var all []operation
	add := func(name, method string, path []string, serve func(*handler, call) (reply, error)) {
		if name != "" {
			all = append(all, operation{name: name, method: method, path: path, serve: serve})
		}
	}
	for _, a := range absences() {
		one := []string{a.segment, "*"}
		configured := append(one[:2:2], "config")
		update := one
		if a.names.config != "" && a.segment != "continuous-deployment-policy" {
			update = configured
		}
		add(a.names.list, http.MethodGet, one[:1], a.none)
		add(a.names.get, http.MethodGet, one, a.refuse)
		add(a.names.config, http.MethodGet, configured, a.refuse)
		add(a.names.update, http.MethodPut, update, a.refuse)
		add(a.names.remove, http.MethodDelete, one, a.refuse)
	}
	for _, l := range absentLists() {
		add(l.name, l.method, []string{l.segment}, l.none)
	}
	tenant := []string{"distribution-tenant", "*", "invalidation"}
	add("CreateInvalidationForDistributionTenant", http.MethodPost, tenant, noTenant)
	add("ListInvalidationsForDistributionTenant", http.MethodGet, tenant, noTenant)
	add("GetInvalidationForDistributionTenant", http.MethodGet, append(tenant[:3:3], "*"), noTenant)
	return append(all,
		operation{name: "GetRealtimeLogConfig", method: http.MethodPost, path: []string{"get-realtime-log-config"}, slash: true, serve: noRealtimeLog},
		operation{name: "DeleteRealtimeLogConfig", method: http.MethodPost, path: []string{"delete-realtime-log-config"}, slash: true, serve: noRealtimeLog},
		operation{name: "UpdateRealtimeLogConfig", method: http.MethodPut, path: []string{"realtime-log-config"}, slash: true, serve: noRealtimeLog})
}

func (a absence) none(h *handler, c call) (reply, error) {
	below, err := h.paged(c, nil, a.page, nil)
	return reply{body: document{name: a.list, below: below}}, err
}

func (a absence) refuse(_ *handler, c call) (reply, error) {
	return reply{}, refuse(a.missing, "There is no %s %q: this edge has none", a.segment, clip(c.args[0]))
}

// absentList is an empty list without a Quantity, or one that is asked for by a
// POST.
type absentList struct{ name, method, segment, root, items string }

func absentLists() []absentList {
	return []absentList{
		{"ListRealtimeLogConfigs", http.MethodGet, "realtime-log-config", "RealtimeLogConfigs", ""},
		{"ListDistributionTenants", http.MethodPost, "distribution-tenants", "ListDistributionTenantsResult", "DistributionTenantList"},
		{"ListDistributionTenantsByCustomization", http.MethodPost, "distribution-tenants-by-customization", "ListDistributionTenantsByCustomizationResult", "DistributionTenantList"},
		{"ListConnectionGroups", http.MethodPost, "connection-groups", "ListConnectionGroupsResult", "ConnectionGroups"},
		{"ListConnectionFunctions", http.MethodPost, "connection-functions", "ListConnectionFunctionsResult", "ConnectionFunctions"},
		{"ListTrustStores", http.MethodPost, "trust-stores", "ListTrustStoresResult", "TrustStoreList"},
	}
}

func (l absentList) none(_ *handler, c call) (reply, error) {
	if l.items != "" {
		return reply{body: document{name: l.root, below: []element{group(l.items)}}}, nil
	}
	marker, limit, err := paging(c.URL.Query())
	return reply{body: document{name: l.root, below: []element{
		number("MaxItems", limit), flag("IsTruncated", false), text("Marker", marker),
	}}}, err
}

// noTenant answers for distribution tenants, of which we have none.
func noTenant(_ *handler, c call) (reply, error) {
	return reply{}, refuse(EntityNotFound, "The specified distribution tenant does not exist: %q", clip(c.args[0]))
}

func noRealtimeLog(*handler, call) (reply, error) {
	return reply{}, refuse("NoSuchRealtimeLogConfig", "The real-time log configuration does not exist: this edge has none")
}
