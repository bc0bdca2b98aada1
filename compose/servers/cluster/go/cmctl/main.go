package main

import (
	"context"
	"os"

	"github.com/cert-manager/cmctl/v2/cmd"
	"github.com/cert-manager/cmctl/v2/pkg/build"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	ctx := build.WithCtlInfo(context.Background(), "cmctl", false)
	command := cmd.NewCertManagerCtlCommand(ctx, os.Stdin, os.Stdout, os.Stderr)
	if err := command.ExecuteContext(ctx); err != nil {
		util.CheckErr(err)
	}
}
