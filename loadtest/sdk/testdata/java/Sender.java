import com.google.gson.Gson;
import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.*;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Phaser;
import java.util.concurrent.TimeUnit;

/**
 * Sends what it is told with Segment's library, as its documentation shows: Sender HOST WRITE_KEY
 *
 * <p>It reads a command a line, {"n": …, "call": …, "pad": …, "id": …}; an empty line asks the library to flush. It writes
 * what the library says became of each: {"n": …, "state": "delivered" or "failed"}.
 */
public class Sender implements Callback {
  static class Command {
    int n;
    String call;
    int pad;
    String id;
  }

  private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  private final Phaser waiting = new Phaser(1);

  @Override
  public void success(Message message) {
    tell(message, "delivered");
  }

  @Override
  public void failure(Message message, Throwable error) {
    error.printStackTrace();
    tell(message, "failed");
  }

  private synchronized void tell(Message message, String state) {
    out.println("{\"n\":" + number(message) + ",\"state\":\"" + state + "\"}");
    waiting.arriveAndDeregister();
  }

  private static Object number(Message message) {
    if (message instanceof TrackMessage) return ((TrackMessage) message).properties().get("n");
    if (message instanceof PageMessage) return ((PageMessage) message).properties().get("n");
    if (message instanceof ScreenMessage) return ((ScreenMessage) message).properties().get("n");
    if (message instanceof IdentifyMessage) return ((IdentifyMessage) message).traits().get("n");
    if (message instanceof GroupMessage) return ((GroupMessage) message).traits().get("n");
    return ((AliasMessage) message).previousId();
  }

  private static MessageBuilder<?, ?> build(Command c) {
    Map<String, Object> n = new HashMap<>();
    n.put("n", c.n);
    switch (c.call) {
      case "identify":
        n.put("plan", Map.of("name", "pro"));
        return IdentifyMessage.builder().userId("u1").traits(n);
      case "page":
        return PageMessage.builder("Home").anonymousId("a1").properties(n);
      case "screen":
        return ScreenMessage.builder("Start").anonymousId("a1").properties(n);
      case "group":
        return GroupMessage.builder("g1").userId("u1").traits(n);
      case "alias":
        return AliasMessage.builder(String.valueOf(c.n)).userId("u1");
      default:
        n.put("price", 9.9);
        n.put("größe", "äöü");
        if (c.pad > 0) n.put("pad", "x".repeat(c.pad));
        TrackMessage.Builder track = TrackMessage.builder("Order Completed").userId("u1").properties(n);
        return c.id.isEmpty() ? track : track.messageId(c.id);
    }
  }

  public static void main(String[] args) throws Exception {
    Sender told = new Sender();
    Analytics analytics = Analytics.builder(args[1]).endpoint(args[0]).flushInterval(1, TimeUnit.SECONDS).callback(told).build();
    Gson gson = new Gson();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      if (line.isEmpty()) {
        analytics.flush();
        continue;
      }
      told.waiting.register();
      analytics.enqueue(build(gson.fromJson(line, Command.class)));
    }
    told.waiting.arriveAndAwaitAdvance(); // shutdown would give up what is still to be sent again
    analytics.shutdown();
    System.exit(0); // the library's HTTP client keeps threads for a minute
  }
}
