package weir.parts;

import java.io.File;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Runs a program of Hive 3.1 or of Hadoop on a JDK that is newer than Hive's: Hive takes the loader of its classes for a
 * URLClassLoader, which that of the class path has not been since Java 9. Arguments: a folder of jars, other folders of
 * classes and settings, which come before the jars, with colons between, the program's class, and what it is to be given.
 */
public class HiveMain {
    public static void main(String[] args) throws Throwable {
        List<URL> urls = new ArrayList<>();
        for (String folder : args[1].split(":")) {
            urls.add(new File(folder).toURI().toURL());
        }
        File[] jars = new File(args[0]).listFiles((folder, name) -> name.endsWith(".jar"));
        Arrays.sort(jars);
        for (File jar : jars) {
            urls.add(jar.toURI().toURL());
        }
        ClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        Object rest = Arrays.copyOfRange(args, 3, args.length);
        try {
            loader.loadClass(args[2]).getMethod("main", String[].class).invoke(null, rest);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }
}
