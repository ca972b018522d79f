package cli

import (
	"github.com/freshet/freshet/internal/awssetup"
)

type awsCmd struct {
	Install   awsInstallCmd   `cmd:"" help:"Set up all that keeps a distribution fresh behind a bucket."`
	Status    awsStatusCmd    `cmd:"" help:"Show what of it there is, and what waits."`
	Uninstall awsUninstallCmd `cmd:"" help:"Take away what install made."`
	Policy    awsPolicyCmd    `cmd:"" help:"Print a least-privilege policy, as IAM takes it."`
	Template  awsTemplateCmd  `cmd:"" help:"Print a template that sets everything up."`
}

// awsSite is what is set up.
type awsSite struct {
	Bucket      string `required:"" placeholder:"BUCKET" help:"Bucket whose changes are followed."`
	awsFunction `embed:""`
}

// awsFunction is what the function has to do with.
type awsFunction struct {
	Distribution []string `short:"d" placeholder:"ID" help:"Distribution, or tenant (dt_…), in front of it. May be given several times (default: those that the function finds by their origins)."`
	Name         string   `default:"${awsName}" help:"Of the function, its role, its queue and its log group."`
	Table        string   `placeholder:"NAME" help:"DynamoDB table in which functions that run at the same time share CloudFront's quota."`
	FunctionConf string   `name:"function-config" placeholder:"PLACE" help:"Where the function's configuration is: ssm:NAME, s3://BUCKET/KEY, or a file in its zip."`
	Document     string   `type:"path" placeholder:"FILE" help:"What stands there: the role gets what wait_for, on, codecommit and the like need."`
	CodePipeline bool     `name:"codepipeline" help:"The function is an action of CodePipeline."`
	Repository   []string `placeholder:"NAME" help:"CodeCommit repository whose differences the function reads. May be given several times."`
}

func (a awsSite) site() awssetup.Site {
	return a.awsFunction.site(a.Bucket)
}

func (a awsFunction) site(bucket string) awssetup.Site {
	return awssetup.Site{
		Name: a.Name, Bucket: bucket, Distributions: a.Distribution, Table: a.Table, Config: a.FunctionConf,
		CodePipeline: a.CodePipeline, CodeCommit: a.Repository,
	}
}

type awsTemplateCmd struct {
	Format string `default:"cloudformation" enum:"cloudformation" help:"${enum}."`
}

// Help is shown below the flags.
func (awsTemplateCmd) Help() string {
	return `The template makes a queue with a dead-letter queue, the function with its role and log group, and
alarms. The bucket's notification rule it makes only together with the bucket; for a bucket that is
there already, its output NextStep says the command.

Examples:
  freshet aws template > freshet.json
  aws cloudformation deploy --template-file freshet.json --stack-name freshet --capabilities CAPABILITY_IAM \
    --parameter-overrides BucketName=www DistributionId=E2EXAMPLE1234 CodeBucket=code CodeKey=freshet-lambda.zip`
}

// Run prints the template.
func (c *awsTemplateCmd) Run(t terminal) error {
	text, err := awssetup.Template()
	if err != nil {
		return err
	}
	_, err = t.out.Write(text)
	return err
}
