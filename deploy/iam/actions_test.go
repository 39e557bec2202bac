package iam

// What each operation of an AWS API asks of a policy. Of Glue, Athena and EMR the action has
// the operation's name (Service Authorization Reference, "Actions, resources, and
// condition keys for …"); of S3 it often has another (Amazon S3 User Guide, "Required
// permissions for Amazon S3 API operations"). An operation that is not here fails the test.
var actionsOf = map[string][]string{
	"s3:GetObject":               {"s3:GetObject", "s3:ListBucket"}, // without ListBucket an absent object is 403, not 404
	"s3:HeadObject":              {"s3:GetObject", "s3:ListBucket"},
	"s3:ListObjectsV2":           {"s3:ListBucket"},
	"s3:PutObject":               {"s3:PutObject", "s3:GetObject"}, // with If-Match both ("Conditional writes")
	"s3:CreateMultipartUpload":   {"s3:PutObject"},
	"s3:UploadPart":              {"s3:PutObject"},
	"s3:CompleteMultipartUpload": {"s3:PutObject"},
	"s3:AbortMultipartUpload":    {"s3:AbortMultipartUpload"},

	"glue:CreateDatabase":       {"glue:CreateDatabase"},
	"glue:GetTable":             {"glue:GetTable"},
	"glue:GetTables":            {"glue:GetTables"},
	"glue:CreateTable":          {"glue:CreateTable"},
	"glue:UpdateTable":          {"glue:UpdateTable"},
	"glue:GetPartitions":        {"glue:GetPartitions"},
	"glue:BatchCreatePartition": {"glue:BatchCreatePartition"},
	"glue:BatchUpdatePartition": {"glue:BatchUpdatePartition"},

	"athena:StartQueryExecution": {"athena:StartQueryExecution"},
	"athena:GetQueryExecution":   {"athena:GetQueryExecution"},
	"athena:GetQueryResults":     {"athena:GetQueryResults", "s3:GetObject"}, // of the place of answers (Athena API Reference, GetQueryResults)
	"athena:StopQueryExecution":  {"athena:StopQueryExecution"},

	"emrserverless:StartJobRun":  {"emr-serverless:StartJobRun", "iam:PassRole"}, // of the run's role (EMR Serverless User Guide, "Identity-based policy examples")
	"emrserverless:GetJobRun":    {"emr-serverless:GetJobRun"},
	"emrserverless:ListJobRuns":  {"emr-serverless:ListJobRuns"},
	"emrserverless:CancelJobRun": {"emr-serverless:CancelJobRun"},

	"emr:AddJobFlowSteps": {"elasticmapreduce:AddJobFlowSteps"},
	"emr:CancelSteps":     {"elasticmapreduce:CancelSteps"},
	"emr:DescribeStep":    {"elasticmapreduce:DescribeStep"},
	"emr:ListSteps":       {"elasticmapreduce:ListSteps"},
	"emr:DescribeCluster": {"elasticmapreduce:DescribeCluster"},
}

// What AWS's own engines do under a caller's rights, which stands in nobody's Go code.
var byEngines = map[string][]string{
	// Athena reads the catalog and the objects as whoever asks, and keeps the answer (Athena User Guide, "Access to
	// databases and tables in the AWS Glue Data Catalog"; the managed policy AmazonAthenaFullAccess for the answers).
	"analyst": {
		"glue:GetDatabase", "glue:GetTable", "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition",
		"s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
		"s3:GetBucketLocation", "s3:ListBucketMultipartUploads",
	},
	// Spark reads and replaces objects (deploy/emr/weirlake.py), EMR puts its logs (EMR Serverless User Guide, "Job runtime
	// roles" and "Storing logs").
	"jobs-runtime": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket"},
	// S3 asks KMS as the caller; multipart uploads need Decrypt too (S3 User Guide, "Using server-side encryption with
	// AWS KMS keys").
	"kms-write":          {"kms:GenerateDataKey", "kms:Decrypt"},
	"kms-read":           {"kms:Decrypt"},
	"jobs-runtime-trust": {"sts:AssumeRole"},
}

// role is somebody who uses AWS: the policies that they get together, and the functions by
// which they use it.
type role struct {
	policies []string
	roots    []string
}

const command = "(*weir/services/weir."

var roles = map[string]role{
	"sink":    {[]string{"sink"}, []string{"weir/services/sink.Run"}},
	"catalog": {[]string{"catalog"}, []string{"weir/services/catalog.Run"}},
	"analyst": {[]string{"analyst"}, []string{
		command + "queryCommand).run", command + "tablesCommand).run", command + "schemaCommand).run", command + "ddlCommand).run",
		command + "partitionsCommand).run", command + "historyCommand).run",
	}},
	"jobs-runtime":       {[]string{"jobs-runtime"}, nil},
	"jobs-runtime-trust": {[]string{"jobs-runtime-trust"}, nil},
	"jobs-submitter": {[]string{"jobs-submitter", "jobs-submitter-cluster", "register"}, []string{
		command + "jobsSubmit).run", command + "jobsRun).run", command + "jobsStatus).run", command + "jobsLogs).run",
		command + "jobsList).run", command + "jobsCancel).run",
	}},
	"register": {[]string{"register"}, []string{command + "registerCommand).run"}},
	"operator": {[]string{"operator"}, []string{
		command + "reconcileCommand).run", command + "repairCommand).run", command + "recoverCommand).run", command + "verifyCommand).run",
		command + "tablesCommand).run", command + "schemaCommand).run", command + "ddlCommand).run",
		command + "partitionsCommand).run", command + "historyCommand).run",
	}},
	"kms-write": {[]string{"kms-write"}, nil},
	"kms-read":  {[]string{"kms-read"}, nil},
}

// without are those that use nothing of AWS, and so have no policy.
var without = map[string]string{
	"gateway":                "weir/services/gateway.Run",
	"deadletters, rejected":  "weir/services/redrive.Run",
	"sources":                command + "sourcesAdd).run",
	"a job's own Spark here": "weir/services/jobs.RunLocal",
}
