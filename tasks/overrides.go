package tasks

// Overrides is everything the command line may change about a file.
//
// The resource overrides hold for every alternative. The word "none" resets a
// string override to "not given".
type Overrides struct {
	// Env entries are K=V, or K to take the value from LookupEnv.
	Env []string
	// EnvFiles and SecretFiles are dotenv files; later files win.
	EnvFiles, SecretFiles []string
	// Secrets entries are like Env, for secrets.
	Secrets []string
	// LookupEnv reads the caller's environment; nil means nothing is set there.
	LookupEnv func(string) (string, bool)
	// FillRequired gives variables that the file leaves to the caller the value "dummy".
	FillRequired bool

	Name, Workdir, Infra, GPUs, CPUs, Memory, InstanceType *string
	DiskSize, DiskTier, NetworkTier, ImageID               *string
	NumNodes                                               *int
	UseSpot                                                *bool
	Ports                                                  []string
	GitURL, GitRef                                         *string

	// ExtraClouds are names accepted in infra beyond SkyPilot's, such as local.
	// Names given through Infra are always looked up in the wider list.
	ExtraClouds []string
	// LookupInstance answers for a cloud and an instance type, when a catalogue
	// is at hand; nil leaves instance types unchecked.
	LookupInstance func(cloud, instanceType string) (InstanceFacts, bool)
}
