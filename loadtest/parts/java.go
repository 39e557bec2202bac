package parts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// javaOf finds the java of the JDK that a part runs on: that of JAVA<version>_HOME, of JAVA_HOME, on the path, or in a
// sibling of the last one's folder.
func javaOf(ctx context.Context, part, version string) (string, error) {
	var tried []string
	for _, java := range javaCandidates(version) {
		out, err := exec.CommandContext(ctx, java, "-XshowSettings:properties", "-version").CombinedOutput()
		if err == nil && bytes.Contains(out, []byte("java.specification.version = "+version+"\n")) {
			return java, nil
		}
		tried = append(tried, java)
	}
	return "", fmt.Errorf("%s needs a JDK %s (set JAVA%[2]s_HOME); tried %s", part, version, strings.Join(tried, ", "))
}

func javaCandidates(version string) []string {
	var found []string
	for _, env := range []string{"JAVA" + version + "_HOME", "JAVA_HOME"} {
		if home := os.Getenv(env); home != "" {
			found = append(found, filepath.Join(home, "bin", "java"))
		}
	}
	onPath, err := exec.LookPath("java")
	if err != nil {
		return found
	}
	found = append(found, onPath)
	if real, err := filepath.EvalSymlinks(onPath); err == nil {
		siblings, _ := filepath.Glob(filepath.Join(filepath.Dir(real), "..", "..", "*"+version+"*", "bin", "java"))
		found = append(found, siblings...)
	}
	return found
}

// jdk17 is the java of a JDK 17 itself, not a link to it from elsewhere.
func jdk17(ctx context.Context, part string) (string, error) {
	java, err := javaOf(ctx, part, "17")
	if err != nil {
		return "", err
	}
	if java, err = filepath.EvalSymlinks(java); err != nil {
		return "", fmt.Errorf("find %s's JDK: %w", part, err)
	}
	return java, nil
}
