using System.Text.Json.Nodes;
using Varve.Nbd.Client;

namespace Varve.Tests.Nbd.Client;

public class NbdFilenameTests
{
    [Theory]
    [InlineData("nbd:host:10", """{"host":"host","port":"10"}""")]
    [InlineData("nbd:host:10:exportname=a:b", """{"export":"a:b","host":"host","port":"10"}""")]
    [InlineData("nbd:host:10:exportname=", """{"host":"host","port":"10"}""")]
    [InlineData("nbd:[::1]:10", """{"host":"::1","port":"10"}""")]
    [InlineData("nbd:unix:/a/b", """{"path":"/a/b"}""")]
    [InlineData("nbd:unix:/a:b:exportname=x", """{"export":"x","path":"/a:b"}""")]
    [InlineData("nbd://host", """{"host":"host","port":"10809"}""")]
    [InlineData("nbd://user@host:11/", """{"host":"host","port":"11"}""")]
    [InlineData("nbd+tcp://[::1]:11/a%20b/c", """{"export":"a b/c","host":"::1","port":"11"}""")]
    [InlineData("nbd+unix:///name?socket=/a%3fb", """{"export":"name","path":"/a?b"}""")]
    [InlineData("nbd+unix://?socket=relative", """{"path":"relative"}""")]
    public void A_name_says_where_the_server_is_and_which_export(string name, string options)
        => Assert.Equal(JsonNode.Parse(options)!.ToJsonString(), NbdFilename.Parse(name).ToJsonString());

    [Theory]
    [InlineData("nbd:", "NBD server address missing")]
    [InlineData("nbd::exportname=a", "NBD server address missing")]
    [InlineData("nbd:host", "error parsing address 'host'")]
    [InlineData("nbd:host:", "error parsing address 'host:'")]
    [InlineData("nbd:[::1", "error parsing address '[::1'")]
    [InlineData("nbd://", "No valid URL specified")]
    [InlineData("nbd://host:99999", "No valid URL specified")]
    [InlineData("nbd://host/?socket=/a", "No valid URL specified")]
    [InlineData("nbd+unix:///x", "No valid URL specified")]
    [InlineData("nbd+unix:///x?socket=/a&b=c", "No valid URL specified")]
    [InlineData("nbd+unix://host/x?socket=/a", "No valid URL specified")]
    public void A_name_that_is_none_is_refused_in_the_references_words(string name, string message)
        => Assert.Equal(message, Assert.Throws<BlockException>(() => NbdFilename.Parse(name)).Message);
}
