// containers-image: whether the library of podman, skopeo and CRI-O admits an
// image. Debian's skopeo is built without signatures of this kind.
//
//	containers-image POLICY.JSON REGISTRIES.D HOST/REPOSITORY:TAG
//
// Judges the image and, of an index, each image in it, as a copy of all of it
// does. Exit 0: all admitted; 1: refused, with the reason.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: containers-image POLICY.JSON REGISTRIES.D IMAGE")
		os.Exit(2)
	}
	if err := judge(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(ctx context.Context, policyFile, registriesD, name string) error {
	policy, err := signature.NewPolicyFromFile(policyFile)
	if err != nil {
		return err
	}
	judge, err := signature.NewPolicyContext(policy)
	if err != nil {
		return err
	}
	defer judge.Destroy()
	reference, err := docker.ParseReference("//" + name)
	if err != nil {
		return err
	}
	source, err := reference.NewImageSource(ctx, &types.SystemContext{
		RegistriesDirPath:           registriesD,
		DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
	})
	if err != nil {
		return err
	}
	defer source.Close()
	instances, err := instances(ctx, source)
	if err != nil {
		return err
	}
	for _, instance := range instances {
		if _, err := judge.IsRunningImageAllowed(ctx, image.UnparsedInstance(source, instance)); err != nil {
			return fmt.Errorf("%s: %w", title(instance), err)
		}
		fmt.Println(title(instance) + ": admitted")
	}
	return nil
}

// instances is the image itself, as nil, and all that it lists.
func instances(ctx context.Context, source types.ImageSource) ([]*digest.Digest, error) {
	found := []*digest.Digest{nil}
	bytes, mediaType, err := source.GetManifest(ctx, nil)
	if err != nil || !manifest.MIMETypeIsMultiImage(mediaType) {
		return found, err
	}
	list, err := manifest.ListFromBlob(bytes, mediaType)
	if err != nil {
		return nil, err
	}
	for _, instance := range list.Instances() {
		found = append(found, &instance)
	}
	return found, nil
}

func title(instance *digest.Digest) string {
	if instance == nil {
		return "image"
	}
	return instance.String()
}
