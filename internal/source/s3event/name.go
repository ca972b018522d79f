package s3event

import (
	"strings"

	"github.com/freshet/freshet"
)

// meaning is what an event says about what its object's URL serves: a change,
// or the reason why there is none.
type meaning struct {
	op   freshet.Op
	none string
}

// Reasons why an event makes nothing stale.
const (
	noneTags        = "tags are not served"
	noneAnnotation  = "annotations are not served"
	noneRetention   = "retention and legal hold do not change what is served"
	noneACL         = "access changed, not what is served"
	noneRestore     = "restoring from an archive does not change the object"
	noneClass       = "the storage class changed, not what is served"
	noneReplication = "it is about the copy in another bucket, which reports its own changes"
	noneRead        = "the object was read, not changed"
	noneRemoved     = "nothing was removed"
	noneMarker      = "only an old delete marker was removed"
	noneScan        = "a scanner's remark, not a change"
	noneBucket      = "it is about a bucket, not an object"
	noneTest        = "test event"
)

// meaningOf reads an event type, written without "s3:". An unknown one may be a
// change, so it is not for passing over.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
func meaningOf(name string) (meaning, bool) {
	if none, known := exceptions(name); known {
		return meaning{none: none}, true
	}
	kind, _, _ := strings.Cut(name, ":")
	switch kind {
	case "ObjectCreated":
		return meaning{op: freshet.OpPut}, true
	case "ObjectRemoved", "LifecycleExpiration", "ReducedRedundancyLostObject":
		// A delete of one version may bring an older one back. It is a delete all
		// the same: the key no longer serves what it did.
		return meaning{op: freshet.OpDelete}, true
	}
	none, known := harmless(kind)
	return meaning{none: none}, known
}

// exceptions are MinIO's event types that begin like a change and are none.
func exceptions(name string) (none string, known bool) {
	switch name {
	case "ObjectCreated:PutTagging", "ObjectCreated:DeleteTagging":
		return noneTags, true
	case "ObjectCreated:PutRetention", "ObjectCreated:PutLegalHold":
		return noneRetention, true
	case "ObjectRemoved:NoOP":
		return noneRemoved, true
	}
	return "", false
}

func harmless(kind string) (none string, known bool) {
	switch kind {
	case "ObjectTagging":
		return noneTags, true
	case "ObjectAnnotation":
		return noneAnnotation, true
	case "ObjectRetention":
		return noneRetention, true
	case "ObjectAcl":
		return noneACL, true
	case "ObjectRestore":
		return noneRestore, true
	case "LifecycleTransition", "IntelligentTiering", "ObjectTransition":
		return noneClass, true
	case "Replication":
		return noneReplication, true
	case "ObjectAccessed":
		return noneRead, true
	case "LifecycleDelMarkerExpiration":
		return noneMarker, true
	case "Scanner":
		return noneScan, true
	case "BucketCreated", "BucketRemoved":
		return noneBucket, true
	case "TestEvent":
		return noneTest, true
	}
	return "", false
}

// meaningOfDetail does the same for the detail-type of an EventBridge event.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
func meaningOfDetail(detailType string) (meaning, bool) {
	switch detailType {
	case "Object Created":
		return meaning{op: freshet.OpPut}, true
	case "Object Deleted":
		return meaning{op: freshet.OpDelete}, true
	case "Object Restore Initiated", "Object Restore Completed", "Object Restore Expired":
		return meaning{none: noneRestore}, true
	case "Object Storage Class Changed", "Object Access Tier Changed":
		return meaning{none: noneClass}, true
	case "Object ACL Updated":
		return meaning{none: noneACL}, true
	case "Object Tags Added", "Object Tags Deleted":
		return meaning{none: noneTags}, true
	}
	return meaning{}, false
}
