// Send.java OPTIONS.properties - one message by Jakarta Mail, as its documentation shows it.
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;

class Send {
    /** Trusts the authority that is named, and shows the certificate when there is one. */
    static SSLSocketFactory sockets(Properties o) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (InputStream in = new FileInputStream(o.getProperty("ca"))) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        char[] secret = o.getProperty("p12_password").toCharArray();
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (o.getProperty("p12") != null) {
            try (InputStream in = new FileInputStream(o.getProperty("p12"))) {
                own.load(in, secret);
            }
        }
        keys.init(own, secret);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context.getSocketFactory();
    }

    public static void main(String[] arguments) throws Exception {
        Properties o = new Properties();
        try (InputStream in = new FileInputStream(arguments[0])) {
            o.load(in);
        }
        boolean implicit = o.getProperty("implicit").equals("true");
        String external = o.getProperty("external");
        Properties p = new Properties();
        p.put("mail.smtp.ssl.enable", String.valueOf(implicit));
        p.put("mail.smtp.starttls.enable", String.valueOf(!implicit));
        p.put("mail.smtp.starttls.required", String.valueOf(!implicit));
        p.put("mail.smtp.ssl.checkserveridentity", "true");
        p.put("mail.smtp.ssl.socketFactory", sockets(o));
        p.put("mail.smtp.from", o.getProperty("from"));
        p.put("mail.smtp.localhost", "client.example.org");
        p.put("mail.smtp.allow8bitmime", "true");
        String user = null;
        String password = null;
        if (external != null) {
            p.put("mail.smtp.sasl.enable", "true");
            p.put("mail.smtp.sasl.mechanisms", "EXTERNAL");
            if (external.equals("initial")) {
                p.put("mail.smtp.sasl.authorizationid", o.getProperty("identity"));
            }
            user = o.getProperty("identity");
            password = "";
        } else if (o.getProperty("password") != null) {
            user = o.getProperty("user");
            password = o.getProperty("password");
        }
        Session session = Session.getInstance(p);
        MimeMessage message;
        try (InputStream in = new FileInputStream(o.getProperty("message"))) {
            message = new MimeMessage(session, in);
        }
        try (Transport t = session.getTransport("smtp")) {
            t.connect("localhost", Integer.parseInt(o.getProperty("port")), user, password);
            t.sendMessage(message, InternetAddress.parse(o.getProperty("to")));
        }
    }
}
