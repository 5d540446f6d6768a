import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/**
 * A user of a node by Java's own HTTP client, as it comes: it asks for an upgrade to HTTP/2 (h2c) with its requests.
 *
 * Arguments: the API's address, a token, the recipient. Each line of standard input is sent as the text of a message;
 * each frame of the stream, and "sent STATUS VERSION" for each message, is a line of standard output.
 */
public final class Person {
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private Person() {}

    public static void main(String[] arguments) throws Exception {
        String api = arguments[0], token = arguments[1], recipient = arguments[2];
        HttpRequest opening = request(api + "/sse/me", token).header("Accept", "text/event-stream").build();
        Thread reading = new Thread(() -> read(opening));
        reading.start();
        BufferedReader typed = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String text = typed.readLine(); text != null; text = typed.readLine()) {
            String body = "{\"recipientId\": \"" + recipient + "\", \"text\": \"" + text + "\"}";
            HttpRequest sending = request(api + "/send", token)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
            HttpResponse<String> answer = HTTP.send(sending, HttpResponse.BodyHandlers.ofString());
            say("sent " + answer.statusCode() + " " + answer.version());
        }
        reading.join();
    }

    private static HttpRequest.Builder request(String address, String token) {
        return HttpRequest.newBuilder(URI.create(address)).header("Authorization", "Bearer " + token);
    }

    private static void read(HttpRequest opening) {
        try {
            HTTP.send(opening, HttpResponse.BodyHandlers.ofLines()).body().filter(line -> !line.isEmpty()).forEach(Person::say);
            say("ended");
        } catch (Exception failure) {
            say("failed " + failure);
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
